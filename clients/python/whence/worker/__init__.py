"""Generated code of the internal protocol between front end and workers."""

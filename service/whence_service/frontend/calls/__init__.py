"""The calls of the public service, one module each."""

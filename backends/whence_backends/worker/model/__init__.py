"""The model that a worker serves: its artefacts, the parts that answer from them, and how they are put together."""

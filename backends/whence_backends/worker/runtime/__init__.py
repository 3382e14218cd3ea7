"""What every part of a worker runs on: the engine's thread, the records of what happens, and their metrics."""

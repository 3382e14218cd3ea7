"""One request: checked once, and the context in which it is answered."""

"""The audit log: one JSON line for every call, refused ones included, in a file or stream of its own."""

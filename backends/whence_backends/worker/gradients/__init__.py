"""The gradients of queries: their keys, their encoding, their caches, and their computation."""

"""Approximate searches: the gradient index, groups of sequences, and shared tokens."""

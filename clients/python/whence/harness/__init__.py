"""Evaluation harnesses: what a model answered there, attributed."""

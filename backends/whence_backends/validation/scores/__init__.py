"""Scores of training sequences, which checks and reports share: one scan for several factors, and words."""

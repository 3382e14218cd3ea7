"""Searches: from prepared queries to rankings of training sequences."""

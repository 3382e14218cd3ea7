"""Whole runs: the table of many queries, summed up, the first queries in full."""

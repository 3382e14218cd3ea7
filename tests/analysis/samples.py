"""Samples whose tails are known, and files of influences."""

from __future__ import annotations

import csv
import json

import numpy as np


def pareto(seed, exponent, count):
    """Return values of a power law from 1 on, whose density has this exponent."""
    return np.random.default_rng(seed).random(count) ** (-1 / (exponent - 1))


def student(seed, freedom, count):
    return np.random.default_rng(seed).standard_t(freedom, count)


def write_pairs(path, queries):
    """Write a row for each pair of a query and a sequence, as JSON Lines."""
    rows = (
        {"query_id": query, "sequence_id": f"s{place}", "influence": value}
        for query, values in queries.items()
        for place, value in enumerate(values)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_matrix(path, queries):
    """Write a row for each query and a column for each sequence, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query_id", *(f"s{place}" for place in range(len(next(iter(queries.values())))))])
        writer.writerows([query, *values] for query, values in queries.items())
    return path

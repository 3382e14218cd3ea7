"""Removals: models trained without the first hits of a method for a query. What is lost without them?

:mod:`.rankings` has the hits, read from a file or :mod:`.scored` anew; :mod:`.planning` adds their runs to a plan.
"""

"""Validation: influences held against retraining, and against what they claim of themselves.

:mod:`.plan` says which models are trained, :mod:`.bank` keeps what each of them says of queries and of training
sequences, :mod:`.outcomes` is both as arrays.
"""

"""Exact influences: preconditioned queries, batches of training sequences, the full scan, and the re-rank."""

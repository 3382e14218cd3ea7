"""The training corpus: ingested once, tokenized, and stored as immutable Arrow shards."""

"""The demo: an invented world, a corpus that describes it, and a small language model trained on that corpus."""

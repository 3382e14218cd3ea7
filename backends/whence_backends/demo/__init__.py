"""The demo: an invented world, a corpus that describes it, and a language model trained on that corpus."""

"""What the small language models that are trained here share: the demo's, and those of a validation by proxy."""

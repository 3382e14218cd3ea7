"""Whence's backends: corpus, artefacts, EK-FAC factors, engines and the worker that serves them."""

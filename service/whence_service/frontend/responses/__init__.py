"""Responses: built from rankings and from what workers say of hits."""

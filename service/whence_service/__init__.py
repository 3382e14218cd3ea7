"""Whence's service side: how a gRPC process of ours is hosted, and the stateless front end."""

"""Generated messages and stubs of the public protocol, package whence.v1."""

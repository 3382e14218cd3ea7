"""Generated messages and stubs of the internal protocol, package whence.worker.v1."""

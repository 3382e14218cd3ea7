"""The checks of ``whence doctor``."""

"""``whence explore``: a page to look at influences, and the public API as JSON over HTTP, in one process."""

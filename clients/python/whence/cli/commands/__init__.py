"""The commands of ``whence``, one to a file, each imported when it runs."""

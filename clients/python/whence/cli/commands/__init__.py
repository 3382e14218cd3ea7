"""The commands of ``whence``, each in a file that is imported when it runs."""

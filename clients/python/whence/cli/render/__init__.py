"""The output of the command line for people, made with rich."""

"""What the command line prints for people, made with rich."""

"""The workers: who they are, what they hold, and how one request calls them."""

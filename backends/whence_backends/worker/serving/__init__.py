"""The worker as a server: its calls, their responses, and the process from start to drain."""

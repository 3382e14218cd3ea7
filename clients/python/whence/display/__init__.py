"""Results where they are looked at: one line, HTML for notebooks, plots. Nothing here asks a server."""

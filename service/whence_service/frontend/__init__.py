"""The stateless front end: validates, admits, routes to workers, merges. It never imports torch or numpy."""

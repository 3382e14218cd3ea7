"""The workers: their channels, the shards that they hold, and the calls of one request to them."""

"""The worker: one model, its factors and its corpus shards, behind gRPC. Front ends ask it and merge."""

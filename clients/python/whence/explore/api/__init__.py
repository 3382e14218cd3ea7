"""The public API as JSON over HTTP: each request becomes one gRPC call, and its answer or status becomes JSON."""

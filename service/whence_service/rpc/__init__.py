"""The hosting of gRPC servers, front ends and workers alike: sockets, health, errors, admission, metrics and logs."""

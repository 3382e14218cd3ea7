"""How a gRPC process of Whence is hosted: sockets, health, errors, admission, metrics and logs."""

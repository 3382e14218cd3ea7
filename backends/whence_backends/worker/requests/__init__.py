"""The parts of a request as plain data: tokenized queries, training sequences, masks of filters, arrays."""

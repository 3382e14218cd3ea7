"""Signal and noise: from the influences of all sequences on one query to what is told from noise. No I/O."""

"""Making a corpus: from input files, through documents, to shards."""

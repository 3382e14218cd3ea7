"""Making a corpus: from files as people have them, through documents, to shards."""

"""Files of queries in, tables of hits out: any number of them, going on where they were interrupted."""

from whence.bulk.run import BulkProgress, BulkReport, attribute_file

__all__ = ["BulkProgress", "BulkReport", "attribute_file"]

"""Any number of queries in, tables of hits out, going on where they were interrupted."""

from whence.bulk.options import RunOptions
from whence.bulk.reports import BulkProgress, BulkReport, Source
from whence.bulk.rows import QueryRow
from whence.bulk.run import attribute_file, attribute_rows

__all__ = ["BulkProgress", "BulkReport", "QueryRow", "RunOptions", "Source", "attribute_file", "attribute_rows"]

"""The training corpus: ingested once, tokenized, and stored as immutable Arrow shards."""

from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.chunking import ChunkPolicy
from whence_backends.corpus.encode import SequenceEncoder, encode_text
from whence_backends.corpus.ingestion.bad_rows import BadRowLimit
from whence_backends.corpus.ingestion.config import IngestConfig
from whence_backends.corpus.ingestion.documents import Columns
from whence_backends.corpus.ingestion.ingest import ingest
from whence_backends.corpus.ingestion.preview import Preview, preview
from whence_backends.corpus.ingestion.report import IngestProgress, IngestReport
from whence_backends.corpus.reader import Corpus
from whence_backends.corpus.shard import SequenceRecord, ShardInfo

__all__ = [
    "BadRowLimit",
    "ChatPolicy",
    "ChunkPolicy",
    "Columns",
    "Corpus",
    "IngestConfig",
    "IngestProgress",
    "IngestReport",
    "Preview",
    "SequenceEncoder",
    "SequenceRecord",
    "ShardInfo",
    "encode_text",
    "ingest",
    "preview",
]

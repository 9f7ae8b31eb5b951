"""Read frames from files, cameras, streams and images.

In: a URL or path. Out: `Frame`s, from one reader thread per source, in a mailbox.
"""

from edge_hoi.ingest.fake import FakeSource
from edge_hoi.ingest.isolated import IsolatedSource
from edge_hoi.ingest.mailbox import Mailbox
from edge_hoi.ingest.opening import open_source
from edge_hoi.ingest.reader import ReaderState, RetryPolicy, SourceReader
from edge_hoi.ingest.source import Source, SourceInfo, SourceTally
from edge_hoi.ingest.url import SourceKind, source_kind

__all__ = [
    "FakeSource",
    "IsolatedSource",
    "Mailbox",
    "ReaderState",
    "RetryPolicy",
    "Source",
    "SourceInfo",
    "SourceKind",
    "SourceReader",
    "SourceTally",
    "open_source",
    "source_kind",
]

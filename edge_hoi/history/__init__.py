"""Past events, read back from where sinks put them: episodes, sums, tables and a picture of them over time.

In: files of events, an outbox or a folder. Out: `EpisodeJoin` of a `Selection`, and what is made of it. Nothing here writes to its input.
"""

from edge_hoi.history.episode import COLUMNS, PastEpisode
from edge_hoi.history.joining import EpisodeJoin
from edge_hoi.history.records import Record, event_files, read_records
from edge_hoi.history.rows import Form, row_lines, write_rows
from edge_hoi.history.selection import Selection
from edge_hoi.history.sums import GroupKey, sum_columns, sum_up
from edge_hoi.history.times import parse_time

__all__ = [
    "COLUMNS",
    "EpisodeJoin",
    "Form",
    "GroupKey",
    "PastEpisode",
    "Record",
    "Selection",
    "event_files",
    "parse_time",
    "read_records",
    "row_lines",
    "sum_columns",
    "sum_up",
    "write_rows",
]

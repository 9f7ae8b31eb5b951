"""Event quality on videos with known episodes. docs/event-quality.md defines every metric.

In: ground truth and events, or videos to run. Out: `score_events` of each video, `event_results` of all, tables, JSON and a plot.
"""

from edge_hoi.lab.evaluation.events.matching import Outcome, ScoredVideo, score_events
from edge_hoi.lab.evaluation.events.metrics import EventResults, event_results, video_to_json
from edge_hoi.lab.evaluation.events.predicted import predicted_episodes, read_events
from edge_hoi.lab.evaluation.events.report import episode_table, result_tables
from edge_hoi.lab.evaluation.events.timeline import plot_timeline

__all__ = [
    "EventResults",
    "Outcome",
    "ScoredVideo",
    "episode_table",
    "event_results",
    "plot_timeline",
    "predicted_episodes",
    "read_events",
    "result_tables",
    "score_events",
    "video_to_json",
]

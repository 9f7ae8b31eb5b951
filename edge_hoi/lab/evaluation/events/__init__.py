"""How good events are, on videos whose episodes are known: `judge` each video, then `event_results` of all."""

from edge_hoi.lab.evaluation.events.figures import Delay, EventFigures, EventResults, event_results, judgement_form
from edge_hoi.lab.evaluation.events.matching import JudgedPrediction, JudgedTruth, Judgement, Verdict, judge
from edge_hoi.lab.evaluation.events.predicted import PredictedEpisode, Sighting, predicted_episodes, read_events
from edge_hoi.lab.evaluation.events.report import episode_table, result_tables
from edge_hoi.lab.evaluation.events.timeline import plot_timeline

__all__ = [
    "Delay",
    "EventFigures",
    "EventResults",
    "JudgedPrediction",
    "JudgedTruth",
    "Judgement",
    "PredictedEpisode",
    "Sighting",
    "Verdict",
    "episode_table",
    "event_results",
    "judge",
    "judgement_form",
    "plot_timeline",
    "predicted_episodes",
    "read_events",
    "result_tables",
]

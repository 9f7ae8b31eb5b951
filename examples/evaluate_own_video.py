"""Measure how good events are on a video of your own: `python examples/evaluate_own_video.py [VIDEO]`.

The ground truth lies beside the video as VIDEO.truth.json (docs/event-quality.md has the format); the embedded clip brings its own.
"""

import sys
from pathlib import Path

import rich

import edge_hoi as hoi
from edge_hoi.events.cloudevents import render
from edge_hoi.lab.datasets.truth import read_truth, truth_path
from edge_hoi.lab.evaluation.events import event_results, predicted_episodes, result_tables, score_events

video = Path(sys.argv[1]) if len(sys.argv) > 1 else hoi.DEMO_CLIP
with hoi.watch(video) as events:
    predicted = predicted_episodes(render(event) for event in events)
score = score_events(read_truth(truth_path(video)), predicted, name=video.name)
for table in result_tables(event_results([score])):
    rich.print(table)

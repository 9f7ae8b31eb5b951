"""Detect only what you list: `python examples/own_vocabulary.py [VIDEO]`.

Phrases that the engine was trained with keep their learned weights; new ones are encoded by the CLIP text tower that an engine may carry
(extra `text`).
"""

import sys

import edge_hoi as hoi

video = sys.argv[1] if len(sys.argv) > 1 else hoi.DEMO_CLIP
phrases = ["person riding bicycle", "person drinking with bottle", "person talking on cell phone"]
with hoi.watch(video, vocabulary=phrases) as events:
    for event in events:
        if event.phase is hoi.Phase.STARTED:
            print(f"{event.start.pts_seconds:6.1f} s {event.text}")

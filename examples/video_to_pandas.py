"""Turn a video into a pandas table and list what each person does: `python examples/video_to_pandas.py [VIDEO]`."""

import sys

import pandas

import edge_hoi as hoi

video = sys.argv[1] if len(sys.argv) > 1 else str(hoi.DEMO_CLIP)
tables = []
with hoi.stream(video, target_fps=3) as frames:
    for frame, interactions in frames:
        table = interactions.to_pandas()
        table.insert(0, "seconds", frame.pts_seconds)
        tables.append(table)
rows = pandas.concat(tables, ignore_index=True)
seen = rows[rows.verb != "no_interaction"].groupby(["human_id", "text"]).seconds.agg(["count", "min", "max"])
print(seen.sort_values("count", ascending=False).head(10))

"""Watch a camera for a minute and print its events: `python examples/live_camera.py 'rtsp://user:${PASSWORD}@camera/stream' [SECONDS]`.

The quotes leave `${PASSWORD}` to this program, so that the list of processes does not show the password.

The embedded engine knows rendered images only, hence `allow_demo_engine`; pass `engine="engines/mine"` for one that knows your scenes.
"""

import os
import sys
import threading

import edge_hoi as hoi

url, seconds = os.path.expandvars(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
with hoi.watch(url, allow_demo_engine=True) as events:
    timer = threading.Timer(seconds, events.stop)  # `stop` may be called from any thread
    timer.start()
    for event in events:
        print(event.start.utc.isoformat(timespec="seconds"), event.phase, event.text, f"{event.duration_seconds:.1f} s", flush=True)
    timer.cancel()
    (camera,) = events.statuses
print(f"{camera.frames} frames, {camera.skipped} skipped, {camera.events} events")

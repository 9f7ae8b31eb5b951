"""Limits on how long something may take, on a machine that does other work as well."""

import os


def within(seconds: float) -> float:
    """Return a limit of so many seconds, lengthened where processes wait for a core."""
    return seconds * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))

"""Keep exports quick under pytest."""

import contextlib
import logging

with contextlib.suppress(ImportError):
    import torch  # noqa: F401 - it sets its loggers up on import

    # pytest listens to each logger that does not propagate; PyTorch notes every step of an export, with its stack, once someone listens
    # to this one, and takes three times as long.
    logging.getLogger("torch.__trace").propagate = True

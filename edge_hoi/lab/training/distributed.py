"""Processes of a distributed training run, started by `torchrun`; without it there is one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

TIMEOUT = timedelta(hours=6)
"""How long processes wait for each other: as long as the first one may need to evaluate."""


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if any.

    Yields:
        The device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()


def is_distributed() -> bool:
    """Return whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world_size() -> int:
    """Return the number of processes."""
    return torch.distributed.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Return this process's number; 0 is the one that logs and saves."""
    return torch.distributed.get_rank() if is_distributed() else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; its shape is equal in all, and it is not changed."""
    values = values.clone()
    if is_distributed():
        torch.distributed.all_reduce(values)
    return values

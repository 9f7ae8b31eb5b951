"""The processes that train together, started by `torchrun`; alone, there is one."""

import torch
import torch.distributed
from torch import Tensor


def is_distributed() -> bool:
    """Tell whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world_size() -> int:
    """Count the processes."""
    return torch.distributed.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Give this process's number; 0 is the one that logs and saves."""
    return torch.distributed.get_rank() if is_distributed() else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up what each process has.

    Args:
        values: Of any shape, equal in all processes; not changed.
    """
    values = values.clone()
    if is_distributed():
        torch.distributed.all_reduce(values)
    return values

"""AdamW with a lower learning rate for the backbone, and learning rate schedules."""

import math

import torch

from edge_hoi.lab.training.config import RunConfig, TrainConfig
from edge_hoi.lab.training.network import TrainableNetwork

_BACKBONE = "model.backbone."


def build_optimizer(network: TrainableNetwork, config: TrainConfig) -> torch.optim.AdamW:
    """Build AdamW with two parameter groups: everything but the backbone, and the backbone."""
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    backbone = [parameter for name, parameter in trained if name.startswith(_BACKBONE)]
    others = [parameter for name, parameter in trained if not name.startswith(_BACKBONE)]
    groups = [
        {"params": others, "lr": config.learning_rate, "full_lr": config.learning_rate},
        {"params": backbone, "lr": config.backbone_learning_rate, "full_lr": config.backbone_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to `factor`, in [0, 1], of its full one."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["full_lr"]


def learning_rate_factor(step: int, *, steps_per_epoch: int, config: RunConfig) -> float:
    """Compute the schedule's factor on the learning rate. It follows from the step alone, so resuming needs no state."""
    total = config.epochs * steps_per_epoch
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "cosine":
        progress = max(0.0, step - config.warmup_steps) / max(1, total - config.warmup_steps)
        return warmup * (1 + math.cos(math.pi * min(1.0, progress))) / 2
    has_dropped = step // steps_per_epoch >= round(config.drop_at * config.epochs)
    return warmup * (config.drop_factor if has_dropped else 1.0)

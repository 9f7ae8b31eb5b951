"""The residual network (He et al., 2015) that extracts the encoder's feature map.

Parameters are named as in torchvision's ResNet, so ImageNet and DETR weights fit. B batch, H and W image size in pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EXPANSION = 4
_EPSILON = 1e-5


class FrozenBatchNorm(nn.Module):
    """Batch normalisation by fixed statistics: buffers, no parameters, as detectors are trained with."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(width))
        self.register_buffer("bias", torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise `(B, C, h, w)` features."""
        return functional.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=_EPSILON)


class TrainedBatchNorm(nn.Module):
    """Trainable batch normalisation, for a backbone without pre-trained weights; it has the state names of `FrozenBatchNorm`."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, frozen: FrozenBatchNorm) -> None:
        super().__init__()
        self.weight = nn.Parameter(frozen.weight.clone())
        self.bias = nn.Parameter(frozen.bias.clone())
        self.register_buffer("running_mean", frozen.running_mean.clone())
        self.register_buffer("running_var", frozen.running_var.clone())

    def forward(self, features: Tensor) -> Tensor:
        """Normalise `(B, C, h, w)` features: by their own statistics in training, by running ones otherwise."""
        return functional.batch_norm(
            features, self.running_mean, self.running_var, self.weight, self.bias, training=self.training, eps=_EPSILON
        )


def train_batch_norm(module: nn.Module) -> None:
    """Make every frozen batch normalisation in a backbone trainable, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, FrozenBatchNorm):
                setattr(parent, name, TrainedBatchNorm(child))


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution beside a shortcut; width and stride (1 or 2) are the 3x3 convolution's."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = FrozenBatchNorm(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), FrozenBatchNorm(out_channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, in_channels, h, w)` to `(B, 4 * width, h / stride, w / stride)`."""
        residual = functional.relu(self.bn1(self.conv1(features)))
        residual = functional.relu(self.bn2(self.conv2(residual)))
        return functional.relu(self.bn3(self.conv3(residual)) + self.downsample(features))


class ResidualBackbone(nn.Module):
    """Stem and four stages of bottlenecks; ResNet-50 is `ResidualBackbone(64, (3, 4, 6, 3))`.

    Args:
        width: Channels of the stem and of the first stage's 3x3 convolutions; doubles with each stage.
        depths: Blocks of each stage.
        stride: Pixels per cell of the feature map: 32, or 16, where the last stage has stride 1.

    Attributes:
        out_channels: Channels of the feature map.
    """

    def __init__(self, width: int, depths: Sequence[int], stride: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        self.layer1 = _stage(width, width, depths[0], stride=1)
        self.layer2 = _stage(width * EXPANSION, width * 2, depths[1], stride=2)
        self.layer3 = _stage(width * 2 * EXPANSION, width * 4, depths[2], stride=2)
        self.layer4 = _stage(width * 4 * EXPANSION, width * 8, depths[3], stride=stride // 16)
        self.out_channels = width * 8 * EXPANSION
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Map `(B, 3, H, W)` float32, ImageNet-normalised RGB, to `(B, out_channels, H / stride, W / stride)`, rounded up."""
        features = functional.relu(self.bn1(self.conv1(image)))
        features = functional.max_pool2d(features, 3, stride=2, padding=1)
        result: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        return result


def _stage(in_channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Chain `depth` bottlenecks, the first with the stride."""
    rest = [Bottleneck(width * EXPANSION, width, stride=1) for _ in range(depth - 1)]
    return nn.Sequential(Bottleneck(in_channels, width, stride), *rest)

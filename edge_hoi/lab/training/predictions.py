"""What the losses look at: boxes and logits of one decoder layer.

B batch, Q pairs, N HOI categories, K objects ("nothing" is one more).
"""

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """What one decoder layer says about each pair.

    Attributes:
        hoi_logits: `(B, Q, N)`.
        object_logits: `(B, Q, K + 1)`, "nothing" last.
        human_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_boxes: `(B, Q, 4)` likewise.
    """

    hoi_logits: Tensor
    object_logits: Tensor
    human_boxes: Tensor
    object_boxes: Tensor

    def groups(self, count: int) -> list["Predictions"]:
        """Take groups of pairs apart.

        Args:
            count: How many groups; divides Q.
        """
        return [Predictions(*each) for each in zip(*(tensor.chunk(count, dim=1) for tensor in self), strict=True)]

    def float(self) -> "Predictions":
        """Give all in float32: half precision has too few digits for logarithms of small probabilities."""
        return Predictions(*(tensor.float() for tensor in self))

"""Evaluation of a CLIP: rank of each image's own prompt among those of all meanings.

N images, P prompts, E embedding size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edge_hoi.lab.datasets.captions import CaptionedImage, prompts_of_meanings
from edge_hoi.lab.training.caption_batches import normalise_for_clip
from edge_hoi.lab.training.text_classifier import encode_prompts
from edge_hoi.model import Checkpoint, ClipImageTower

_BATCH = 256


def rank_prompts(checkpoint: Checkpoint, images: Sequence[CaptionedImage], squares: NDArray[np.uint8]) -> dict[str, float]:
    """Rank each image's prompt among one prompt for each meaning that occurs.

    Args:
        checkpoint: The CLIP is its.
        images: N images.
        squares: `(N, S, S, 3)` uint8 RGB, of `datasets.captions.read_squares`.

    Returns:
        `top1` and `top5`, percent of the images whose prompt is the first or among the first five; `mean_rank`, 1 at best; `prompts`, their
        number. A prompt that meanings share counts once.

    Raises:
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    by_meaning = prompts_of_meanings(images)
    prompts = {prompt: column for column, prompt in enumerate(dict.fromkeys(by_meaning.values()))}
    correct = torch.tensor([prompts[by_meaning[image.meaning]] for image in images])
    cosines = encode_squares(checkpoint.model.clip, squares) @ encode_prompts(checkpoint.text, list(prompts)).cpu().T  # (N, P)
    ranks = ranks_of(cosines, correct)
    top1, top5 = (100 * float((ranks <= most).double().mean()) for most in (1, 5))
    return {"top1": top1, "top5": top5, "mean_rank": float(ranks.double().mean()), "prompts": float(len(prompts))}


def ranks_of(scores: Tensor, correct: Tensor) -> Tensor:
    """Compute the rank of each of N rows' correct column among the scores `(N, P)`; ties count against it.

    Returns:
        `(N,)`, 1 to P.
    """
    return (scores >= scores.gather(1, correct[:, None])).sum(dim=1)


@torch.no_grad()
def encode_squares(tower: ClipImageTower, squares: NDArray[np.uint8]) -> Tensor:
    """Encode `(N, S, S, 3)` uint8 RGB images.

    Returns:
        `(N, E)`, of length 1, on the CPU.
    """
    device = next(tower.parameters()).device
    chunks = torch.split(torch.from_numpy(squares), _BATCH)
    features = [tower(normalise_for_clip(chunk).to(device)).embedding.cpu() for chunk in chunks]
    return functional.normalize(torch.cat(features), dim=-1)

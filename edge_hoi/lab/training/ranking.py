"""How good a CLIP is: held-out pictures, each ranked against what all of them show.

N pictures, P prompts, E embedding size.
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

_AT_ONCE = 256


def rank_prompts(checkpoint: Checkpoint, pictures: Sequence[CaptionedImage], squares: NDArray[np.uint8]) -> dict[str, float]:
    """Rank each picture's prompt among one prompt for each meaning that occurs.

    Args:
        checkpoint: Whose CLIP looks and reads.
        pictures: N pictures.
        squares: `(N, S, S, 3)` uint8 RGB, of `datasets.captions.read_squares`.

    Returns:
        `top1` and `top5`, percent of the pictures whose prompt is the first or among the first five; `mean_rank`, 1 at best; `prompts`, how
        many there are. Where meanings share a prompt, it counts once.

    Raises:
        VocabularyError: A prompt is longer than CLIP can read.
    """
    by_meaning = prompts_of_meanings(pictures)
    prompts = {prompt: column for column, prompt in enumerate(dict.fromkeys(by_meaning.values()))}
    rights = torch.tensor([prompts[by_meaning[picture.meaning]] for picture in pictures])
    cosines = encode_squares(checkpoint.model.clip, squares) @ encode_prompts(checkpoint.text, list(prompts)).cpu().T  # (N, P)
    ranks = ranks_of(cosines, rights)
    top1, top5 = (100 * float((ranks <= most).double().mean()) for most in (1, 5))
    return {"top1": top1, "top5": top5, "mean_rank": float(ranks.double().mean()), "prompts": float(len(prompts))}


def ranks_of(scores: Tensor, rights: Tensor) -> Tensor:
    """Say which place the right one takes; one that ties with others takes the last place of theirs.

    Args:
        scores: `(N, P)`.
        rights: `(N,)` which of P is right.

    Returns:
        `(N,)`, 1 to P.
    """
    return (scores >= scores.gather(1, rights[:, None])).sum(dim=1)


@torch.no_grad()
def encode_squares(tower: ClipImageTower, squares: NDArray[np.uint8]) -> Tensor:
    """Encode pictures.

    Args:
        tower: CLIP's image tower, in evaluation mode.
        squares: `(N, S, S, 3)` uint8 RGB.

    Returns:
        `(N, E)`, of length 1, on the CPU.
    """
    device = next(tower.parameters()).device
    chunks = torch.split(torch.from_numpy(squares), _AT_ONCE)
    features = [tower(normalise_for_clip(chunk).to(device)).embedding.cpu() for chunk in chunks]
    return functional.normalize(torch.cat(features), dim=-1)

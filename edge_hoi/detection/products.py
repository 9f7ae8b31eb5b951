"""Matrix products that stay in one thread.

NumPy's OpenBLAS shares products of more than 2^18 multiplications out among all cores and spins until each has had its turn. Beside
decoders and engines that keep the cores busy, a product of half a millisecond then takes 50 to 150 (2 cores, 2 other busy threads).
In blocks below that bound it always takes 1.
"""

import numpy as np
from numpy.typing import NDArray

ONE_THREAD_LIMIT = 1 << 18
"""Multiplications of one product that OpenBLAS does not share out."""

_ROWS = 32


def similarities(embeddings: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply every embedding with every row of a classifier.

    Args:
        embeddings: `(..., E)` float32.
        weight: `(N, E)` float32.

    Returns:
        `(..., N)` float32.
    """
    rows = embeddings.reshape(-1, weight.shape[1])
    products = np.empty((len(rows), len(weight)), np.float32)
    step = max(1, ONE_THREAD_LIMIT // (_ROWS * weight.shape[1]))
    for top in range(0, len(rows), _ROWS):
        for left in range(0, len(weight), step):
            block = products[top : top + _ROWS, left : left + step]
            np.matmul(rows[top : top + _ROWS], weight[left : left + step].T, out=block)
    return products.reshape(*embeddings.shape[:-1], len(weight))

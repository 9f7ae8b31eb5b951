"""Matrix products in blocks."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from edge_hoi.detection.classifier import similarities


@given(st.integers(0, 3), st.integers(0, 70), st.sampled_from([0, 1, 15, 16, 17, 600]), st.sampled_from([4, 512]))
def test_product_in_blocks_equals_the_whole(batch, queries, rows, width):
    generator = np.random.default_rng(0)
    embeddings = generator.random((batch, queries, width), np.float32)
    weight = generator.random((rows, width), np.float32)
    np.testing.assert_allclose(similarities(embeddings, weight), embeddings @ weight.T, rtol=1e-5)


def test_transposed_weights_are_supported():
    embeddings = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(similarities(embeddings, matrix.T), embeddings @ matrix)

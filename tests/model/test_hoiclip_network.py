import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import ConfigError
from edge_hoi.model import VARIANTS, HoiclipConfig, LastLayer, build_hoiclip
from edge_hoi.model.reference_weights import random_clip_images, random_images


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture
def network(hico_det):
    return hico_det.model


def images_and_padding(*sizes):
    images, padding = (torch.from_numpy(array) for array in random_images("network", sizes))
    return images, torch.from_numpy(random_clip_images("network", len(sizes), 64)), padding


def test_network_gives_boxes_and_unit_embeddings_for_every_decoder_layer(network):
    image, clip_image, _ = images_and_padding((96, 160), (96, 160), (96, 160))
    outputs = network(image, clip_image)
    assert len(outputs.layers) == network.config.num_decoder_layers
    for layer in outputs.layers:
        for boxes in (layer.human_boxes, layer.object_boxes):
            assert boxes.shape == (3, 16, 4)
            assert 0 <= boxes.min() <= boxes.max() <= 1
        for embeddings in (layer.object_embeddings, layer.interaction_embeddings, layer.verb_embeddings):
            assert embeddings.shape == (3, 16, 32)
            torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(3, 16))
    torch.testing.assert_close(outputs.image_embedding.norm(dim=-1), torch.ones(3))


def test_batch_equals_single_images(network):
    image, clip_image, _ = images_and_padding((96, 160), (96, 160), (96, 160))
    together = LastLayer(network)(image, clip_image)
    for row in range(3):
        alone = LastLayer(network)(image[row : row + 1], clip_image[row : row + 1])
        for name, ours, batch in zip(alone._fields, alone, together, strict=True):
            torch.testing.assert_close(ours[0], batch[row], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_groups_of_queries_do_not_attend_to_each_other(network):
    image, clip_image, padding = images_and_padding((96, 160), (64, 96))
    alone = network(image, clip_image, padding)
    others = torch.randn(2, *network.queries().shape, generator=torch.Generator().manual_seed(0))
    together = network(image, clip_image, padding, torch.stack([others[0], network.queries(), others[1]]))
    for of_one, of_all in zip(alone.layers, together.layers, strict=True):
        for ours, found in zip(of_one, of_all, strict=True):
            own, other, same, _ = found.chunk(4, dim=1)
            torch.testing.assert_close(own, ours, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(same, ours, rtol=1e-4, atol=1e-5)
            assert (other - ours).abs().max() > 1e-3


def test_last_layer_returns_the_network_s_last_layer(network):
    image, clip_image, _ = images_and_padding((64, 96))
    outputs = network(image, clip_image)
    last = LastLayer(network)(image, clip_image)
    assert last._fields[:5] == outputs.layers[-1]._fields
    for ours, theirs in zip(last, (*outputs.layers[-1], outputs.image_embedding), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_an_empty_padding_mask_equals_none(network):
    image, clip_image, padding = images_and_padding((96, 160))
    assert not padding.any()
    for ours, theirs in zip(network(image, clip_image, padding).layers[-1], network(image, clip_image).layers[-1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_encoder_and_instance_decoder_ignore_padding(network):
    tokens, positions = torch.randn(1, 6, 64), torch.randn(1, 6, 64)
    padding = torch.tensor([[False, False, True, False, False, True]])
    changed = tokens + 5 * padding[..., None]
    before, after = network.encoder(tokens, positions, padding), network.encoder(changed, positions, padding)
    torch.testing.assert_close(before[~padding], after[~padding])
    assert not torch.allclose(before[padding], after[padding])
    found = [
        network.instance_decoder(torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), memory, positions, padding)[-1]
        for memory in (before, after)
    ]
    torch.testing.assert_close(*found)


def test_interaction_decoder_attends_to_padding_as_in_the_published_model(network):
    content, tokens, memory = torch.randn(1, 4, 64), torch.randn(1, 17, 64), torch.randn(1, 6, 64)
    changed = memory.clone()
    changed[:, -1] += 5
    before, after = (network.interaction_decoder(content, tokens, seen)[-1] for seen in (memory, changed))
    assert not torch.allclose(before, after, atol=1e-3)


def test_padding_mask_changes_the_boxes_of_a_padded_image(network):
    image, clip_image, padding = images_and_padding((96, 160), (64, 96))
    masked, unmasked = network(image, clip_image, padding).layers[-1], network(image, clip_image).layers[-1]
    torch.testing.assert_close(masked.human_boxes[0], unmasked.human_boxes[0])
    assert (masked.human_boxes[1] - unmasked.human_boxes[1]).abs().max() > 1e-3


def test_padding_mask_is_resized_to_the_grid_by_nearest_neighbour(network):
    # 80 rows give 3 cells, which sample rows 0, 26 and 53: the image's 50 rows cover two of them.
    image, clip_image, _ = images_and_padding((80, 96))
    padding = torch.zeros(1, 80, 96, dtype=torch.bool)
    padding[:, 50:] = True
    seen = {}
    handle = network.encoder.register_forward_hook(lambda module, inputs, output: seen.update(padding=inputs[2]))
    network(image, clip_image, padding)
    handle.remove()
    assert seen["padding"].tolist() == [[False] * 6 + [True] * 3]


def test_clip_is_frozen_and_the_rest_is_not():
    network = build_hoiclip(VARIANTS["tiny"])
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"clip.{name}" for name, _ in network.clip.named_parameters()}


def test_network_refuses_heads_that_do_not_divide_clips_width():
    with pytest.raises(ConfigError, match=r"num_heads must divide the CLIP tower's width \(64\), got 3"):
        build_hoiclip(HoiclipConfig(width=24, num_heads=3, clip=VARIANTS["tiny"].clip))


def test_a_stride_of_16_gives_four_times_as_many_cells_with_the_same_weights(network):
    fine = build_hoiclip(dataclasses.replace(network.config, backbone_stride=16), network.clip).eval()
    fine.load_state_dict(network.state_dict())
    image, clip_image, _ = images_and_padding((96, 160))
    assert (network.encode(image).grid, fine.encode(image).grid) == ((3, 5), (6, 10))
    assert fine(image, clip_image).layers[-1].human_boxes.shape == (1, 16, 4)

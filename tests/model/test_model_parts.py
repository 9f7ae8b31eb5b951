"""Each part compared with another implementation."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import open_clip
import torchvision

from edge_hoi.errors import ConfigError
from edge_hoi.model import VARIANTS, build_clip, clip_weights_sha256
from edge_hoi.model.attention import Attention
from edge_hoi.model.backbone import ResidualBackbone
from edge_hoi.model.position_encoding import encode_positions


@pytest.fixture(autouse=True)
def _without_gradients():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("is_padded", [False, True])
def test_attention_agrees_with_pytorchs_own(is_padded):
    ours, theirs = Attention(32, 4).eval(), torch.nn.MultiheadAttention(32, 4, batch_first=True).eval()
    torch.nn.init.normal_(theirs.in_proj_bias)
    for name, weight, bias in zip(("query", "key", "value"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True):
        ours.get_submodule(name).load_state_dict({"weight": weight, "bias": bias})
    ours.output.load_state_dict(theirs.out_proj.state_dict())
    query, key, value = torch.randn(2, 5, 32), torch.randn(2, 7, 32), torch.randn(2, 7, 32)
    padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3]) if is_padded else None
    torch.testing.assert_close(ours(query, key, value, padding), theirs(query, key, value, padding, need_weights=False)[0])


def test_backbone_of_the_published_configuration_is_torchvisions_resnet_50():
    theirs = torchvision.models.resnet50(weights=None, norm_layer=lambda width: torchvision.ops.FrozenBatchNorm2d(width, eps=1e-5)).eval()
    for name, buffer in theirs.named_buffers():
        buffer.uniform_(0.5, 1.5) if "var" in name or "weight" in name else buffer.normal_(0, 0.1)
    body = torch.nn.Sequential(*list(theirs.children())[:-2])
    config = VARIANTS["r50-vitb32"]
    ours = ResidualBackbone(config.backbone_width, config.backbone_depths).eval()
    ours.load_state_dict({name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")})
    image = torch.randn(2, 3, 64, 90)  # not a multiple of 32: sizes round up
    expected = body(image)
    assert ours(image).shape == (2, ours.out_channels, 2, 3)
    torch.testing.assert_close(ours(image), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_positions_follow_the_formula_cell_by_cell():
    valid = torch.ones(2, 3, 4)
    valid[1, 2:], valid[1, :, 3:] = 0, 0
    encoded = encode_positions(valid, 16).unflatten(1, (3, 4))
    for image, (rows, columns) in enumerate([(3, 4), (2, 3)]):
        for row in range(rows):
            for column in range(columns):
                for axis, (place, extent) in enumerate([(row + 1, rows), (column + 1, columns)]):
                    for pair in range(4):
                        angle = place / extent * 2 * math.pi / 10000 ** (2 * pair / 8)
                        cell = encoded[image, row, column, axis * 8 + 2 * pair :]
                        assert cell[0].item() == pytest.approx(math.sin(angle), abs=1e-5)
                        assert cell[1].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_positions_of_cells_beyond_both_edges_are_at_the_origin():
    valid = torch.zeros(1, 2, 2)
    valid[0, 0, 0] = 1
    torch.testing.assert_close(encode_positions(valid, 8)[0, 3], torch.tensor([0.0, 1.0] * 4))


def test_clip_towers_give_what_open_clip_gives():
    architecture = VARIANTS["tiny"].clip
    torch.manual_seed(1)
    theirs = open_clip.CLIP(**architecture).eval()
    torch.manual_seed(1)
    ours = build_clip(architecture)
    image, token_ids = torch.randn(3, 3, 64, 64), open_clip.tokenize(["a photo of a person riding a bicycle", "a cat"])
    seen = ours.image(image)
    torch.testing.assert_close(seen.embedding, theirs.encode_image(image))
    torch.testing.assert_close(ours.text(token_ids), theirs.encode_text(token_ids))
    assert seen.tokens.shape == (3, 17, 64)
    torch.testing.assert_close(seen.tokens[:, 0] @ ours.image.projection, seen.embedding)
    theirs.visual.output_tokens = True
    torch.testing.assert_close(seen.tokens[:, 1:], theirs.visual(image)[1])


def test_text_tower_ignores_padding_after_the_prompts(hico_det):
    token_ids = open_clip.tokenize(["a photo of a person riding a bicycle", "a cat"])
    torch.testing.assert_close(hico_det.text(token_ids[:, :12]), hico_det.text(token_ids))


def test_clip_hash_depends_on_the_weights():
    architecture = VARIANTS["tiny"].clip
    clip = build_clip(architecture)
    before = clip_weights_sha256(clip)
    assert clip_weights_sha256(clip) == before
    clip.text.clip.ln_final.bias[0] += 1
    assert clip_weights_sha256(clip) != before


@pytest.mark.parametrize(
    ("architecture", "pretrained", "words"),
    [
        ("ViT-B-31", None, "open_clip has no model 'ViT-B-31'"),
        ("RN50", None, "with a plain ViT"),
        ("coca_ViT-B-32", None, "OpenAI's kind of CLIP"),
        ("ViT-B-32", "nobody", r"no weights 'nobody' for ViT-B-32; it has: openai"),
        ("ViT-B-32", "openai", "another activation than ViT-B-32's; name ViT-B-32-quickgelu"),
        ({"embed_dim": 32}, "openai", "need the name of an open_clip model"),
    ],
)
def test_clip_refuses_what_hoiclip_cannot_be_built_on(architecture, pretrained, words):
    with pytest.raises(ConfigError, match=words):
        build_clip(architecture, pretrained)

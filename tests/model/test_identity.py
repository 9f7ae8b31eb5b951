import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import numpy as np

from edge_hoi.model import VARIANTS, HoiclipConfig
from edge_hoi.model.checkpoint import published_tensors
from edge_hoi.model.checkpoint_files import TensorMismatchError, read_published
from edge_hoi.model.identity import UNKNOWN_SPLIT, identify
from edge_hoi.vocabulary import load_vocabulary, zero_shot_split, zero_shot_splits


def published(shared_data, case):
    rows = (line.split("\t") for line in (shared_data / "reference" / f"hoiclip_{case}.keys.tsv").read_text().splitlines())
    with torch.device("meta"):
        return {name: torch.empty([int(size) for size in shape.split(",") if size]) for name, shape in rows}


def seen_verbs(split):
    return torch.from_numpy(np.delete(load_vocabulary("hico_det").verb_to_hoi, list(zero_shot_split(split)), axis=1))


def test_published_checkpoints_are_identified_by_their_keys(shared_data):
    hico, vcoco = identify(published(shared_data, "hico")), identify(published(shared_data, "vcoco"))
    assert (hico.vocabulary, hico.num_seen, hico.split, hico.backbone) == ("hico_det", None, None, "ResNet-50")
    assert (vcoco.vocabulary, vcoco.num_seen, vcoco.split, vcoco.backbone) == ("vcoco", None, None, "ResNet-50")
    assert hico.config == vcoco.config == VARIANTS["r50-vitb32"]


def test_every_zero_shot_split_is_identified(shared_data):
    tensors = published(shared_data, "hico_rare_first")
    for split in zero_shot_splits():
        matrix = seen_verbs(split)
        tensors |= {"verb2hoi_proj": matrix, "visual_projection.weight": torch.empty(matrix.shape[1], 512, device="meta")}
        identity = identify(tensors)
        assert (identity.split, identity.num_seen) == (split, 600 - len(zero_shot_split(split)))
    tensors["verb2hoi_proj"] = matrix.flip(1)
    assert identify(tensors).split == UNKNOWN_SPLIT


def test_other_configurations_are_identified(shared_data):
    tensors = published(shared_data, "hico")
    with torch.device("meta"):
        tensors |= {f"backbone.0.body.layer3.{block}.conv1.weight": torch.empty(1) for block in range(6, 23)}
        tensors |= {"query_embed_h.weight": torch.empty(100, 256)}
        visual = {"conv1.weight": torch.empty(1024, 3, 14, 14), "positional_embedding": torch.empty(257, 1024)}
        tensors |= {f"clip_model.visual.{name}": tensor for name, tensor in visual.items()}
    identity = identify(tensors)
    assert identity.backbone == "ResNet-101"
    assert identity.config == HoiclipConfig(backbone_depths=(3, 4, 23, 3), num_queries=100, clip="ViT-L-14-quickgelu")


def test_other_models_get_the_published_configuration():
    assert identify({}).config == HoiclipConfig()
    with torch.device("meta"):
        assert identify({"input_proj.weight": torch.empty(7), "verb_projection.weight": torch.empty(())}).config == HoiclipConfig()


@pytest.mark.parametrize("wrap", [lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()}, dict])
@pytest.mark.parametrize("key", ["model", "state_dict", None])
def test_wrappers_of_distributed_training_are_removed(tmp_path, hico_det, wrap, key):
    tensors = published_tensors(hico_det)
    content = wrap(tensors)
    torch.save({key: content} if key else content, tmp_path / "a.pth")
    assert read_published(tmp_path / "a.pth").tensors.keys() == tensors.keys()


def test_the_error_lists_missing_and_unknown_tensors(hico_det):
    from edge_hoi.model.checkpoint import checkpoint_from_published

    tensors = published_tensors(hico_det)
    tensors["input_proj.w"] = tensors.pop("input_proj.weight")
    tensors["y"] = tensors.pop("logit_scale")
    with pytest.raises(TensorMismatchError) as caught:
        checkpoint_from_published(tensors, VARIANTS["tiny"], source="a.pth")
    assert set(caught.value.missing) == {"input_proj.weight", "logit_scale"}
    assert set(caught.value.unknown) == {"input_proj.w", "y"}

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import numpy as np
import safetensors.torch

from edge_hoi.errors import CheckpointError, VocabularyError
from edge_hoi.lab.training.initialization import load_detector_weights, load_detr_weights, untrained_checkpoint
from edge_hoi.lab.training.text_classifier import encode_prompts, with_vocabulary
from edge_hoi.model import VARIANTS, load_checkpoint, save_checkpoint
from edge_hoi.model.checkpoint_vocabulary import save_vocabulary, vocabulary_of
from edge_hoi.model.published_keys import to_published
from edge_hoi.vocabulary import load_vocabulary


def detr_tensors(model, layers=6):
    """Make a random detector with DETR's names, and more decoder layers than HOICLIP has."""
    published = to_published({f"model.{name}": tensor for name, tensor in model.state_dict().items()})
    tensors = {}
    for name, tensor in published.items():
        if name.startswith(("backbone.", "input_proj.", "transformer.encoder.")):
            tensors[name] = tensor
        elif name.startswith("transformer.instance_decoder."):
            theirs = name.replace("instance_decoder", "decoder")
            for number in range(layers) if ".layers.0." in theirs else ():
                tensors[theirs.replace(".layers.0.", f".layers.{number}.")] = tensor
            if ".layers." not in theirs:
                tensors[theirs] = tensor
        elif name.startswith("hum_bbox_embed."):
            tensors[name.replace("hum_", "")] = tensor
    tensors |= {"class_embed.weight": torch.empty(92, 64), "class_embed.bias": torch.empty(92), "query_embed.weight": torch.empty(100, 64)}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in tensors.items()}


@pytest.fixture
def detr(untrained):
    return detr_tensors(untrained().model)


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_detr_weights_go_where_they_belong(tmp_path, untrained, detr, form):
    path = tmp_path / f"detr.{form}"
    torch.save({"model": detr}, path) if form == "pth" else safetensors.torch.save_file(detr, path)
    model, before = untrained().model, untrained().model.state_dict()
    taken = load_detr_weights(model, path)
    after = model.state_dict()
    assert torch.equal(after["backbone.layer4.0.conv2.weight"], detr["backbone.0.body.layer4.0.conv2.weight"])
    assert torch.equal(after["backbone.bn1.running_var"], detr["backbone.0.body.bn1.running_var"])
    assert torch.equal(after["input_projection.weight"], detr["input_proj.weight"])
    for number in range(2):
        stem, theirs = f"instance_decoder.layers.{number}.", f"transformer.decoder.layers.{number}."
        assert torch.equal(after[stem + "cross_attention.key.weight"], detr[theirs + "multihead_attn.in_proj_weight"][64:128])
        assert torch.equal(after[stem + "feed_forward.linear2.bias"], detr[theirs + "linear2.bias"])
    for head in ("human", "object"):
        assert torch.equal(after[f"{head}_box_head.layers.2.weight"], detr["bbox_embed.layers.2.weight"])
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == taken
    kept = ("clip.", "interaction_", "human_queries", "object_queries", "pair_queries", "object_embedding_head.", "verb_head.")
    assert all(name.startswith(kept) for name in before.keys() - changed)


def test_a_detr_of_other_dimensions_is_refused_by_name(tmp_path, untrained, detr):
    del detr["transformer.encoder.layers.1.norm1.weight"]
    torch.save({"model": detr}, tmp_path / "detr.pth")
    with pytest.raises(CheckpointError, match=r"part 'encoder.layers.1.norm1.weight' has shape \(64,\), got nothing"):
        load_detr_weights(untrained().model, tmp_path / "detr.pth")


def test_a_file_that_runs_code_is_refused(tmp_path, untrained):
    class Trap:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"model": Trap()}, tmp_path / "detr.pth")
    with pytest.raises(CheckpointError, match="could run code"):
        load_detr_weights(untrained().model, tmp_path / "detr.pth")


def test_untrained_checkpoints_follow_from_their_seed():
    vocabulary = load_vocabulary("vcoco")
    first, second, other = (untrained_checkpoint(VARIANTS["tiny"], vocabulary, seed=seed).tensors() for seed in (0, 0, 1))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())
    assert not torch.equal(other["model.human_queries"], first["model.human_queries"])


def test_making_a_checkpoint_leaves_other_randomness_alone(untrained):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    untrained()
    assert torch.equal(torch.rand(2), expected)


def test_an_untrained_classifier_is_made_of_text_features(untrained):
    checkpoint, vocabulary = untrained(), load_vocabulary("hico_det")
    rows = encode_prompts(checkpoint.text, [vocabulary.hois[100].prompt, vocabulary.object_prompts[-1]])
    torch.testing.assert_close(checkpoint.classifier.hoi_weight[100], rows[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(checkpoint.classifier.object_weight[80], rows[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(checkpoint.classifier.verb_weight.norm(dim=1), torch.ones(117))
    assert not checkpoint.classifier.hoi_bias.any()


def test_a_prompt_longer_than_clip_reads_is_refused(untrained):
    with pytest.raises(VocabularyError, match="more than the 77 tokens"):
        encode_prompts(untrained().text, ["person " * 90])


@pytest.fixture
def yard(tmp_path):
    path = tmp_path / "yard.yaml"
    lines = (
        "person riding bicycle",
        "person driving forklift",
        "{verb: talk on, object: cell phone}",
        "{prompt: no helmet, object: helmet}",
    )
    path.write_text("".join(f"- {line}\n" for line in (*lines, "person and bicycle")))
    return load_vocabulary(path)


def test_a_new_vocabulary_keeps_the_trained_weights(untrained, yard):
    checkpoint, base = untrained(), load_vocabulary("hico_det")
    with torch.no_grad():
        checkpoint.classifier.hoi_bias.uniform_()
        checkpoint.classifier.hoi_log_scale.fill_(2.0)
    found = with_vocabulary(checkpoint, base, yard)
    riding = next(number for number, hoi in enumerate(base.hois) if hoi.prompt == yard.hois[0].prompt)
    assert torch.equal(found.classifier.hoi_weight[0], checkpoint.classifier.hoi_weight[riding])
    assert found.classifier.hoi_bias[0] == checkpoint.classifier.hoi_bias[riding]
    torch.testing.assert_close(found.classifier.hoi_weight[1], encode_prompts(checkpoint.text, [yard.hois[1].prompt])[0], atol=1e-5, rtol=0)
    assert found.classifier.hoi_bias[1] == 0
    assert torch.equal(found.classifier.object_weight[-1], checkpoint.classifier.object_weight[-1])
    assert found.classifier.hoi_log_scale.item() == pytest.approx(2.0)
    assert found.vocabulary_sha256 == yard.content_hash
    assert found.model is checkpoint.model


def test_a_custom_vocabulary_goes_with_its_checkpoint(tmp_path, untrained, yard):
    checkpoint, folder = untrained(yard), tmp_path / "run"
    folder.mkdir()
    save_checkpoint(checkpoint, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="needs its vocabulary 'yard' beside it"):
        vocabulary_of(load_checkpoint(folder / "model.safetensors"), folder / "model.safetensors")
    save_vocabulary(yard, folder)
    assert vocabulary_of(load_checkpoint(folder / "model.safetensors"), folder / "model.safetensors") == yard
    (folder / "vocabulary.yaml").write_text("- person riding bicycle\n")
    with pytest.raises(CheckpointError, match="is not the vocabulary that"):
        vocabulary_of(load_checkpoint(folder / "model.safetensors"), folder / "model.safetensors")


@pytest.mark.parametrize("name", ["hico_det", "vcoco"])
def test_a_published_vocabulary_needs_no_file(tmp_path, untrained, name):
    save_vocabulary(load_vocabulary(name), tmp_path)
    assert not list(tmp_path.iterdir())
    assert vocabulary_of(untrained(name), tmp_path / "model.safetensors") == load_vocabulary(name)


def test_text_features_are_the_same_in_any_batch(untrained):
    text, prompts = untrained().text, [f"a photo of object {number}" for number in range(70)]
    rows = encode_prompts(text, prompts)
    np.testing.assert_allclose(rows[66:67].numpy(), encode_prompts(text, prompts[66:67]).numpy(), atol=1e-5)


def test_a_detector_s_weights_are_copied_and_nothing_else(tmp_path, untrained):
    other = untrained("vcoco")
    with torch.no_grad():
        for tensor in other.tensors().values():
            tensor.add_(1)
    save_checkpoint(other, tmp_path / "detector.safetensors")
    model, before = untrained().model, untrained().model.state_dict()
    taken = load_detector_weights(model, tmp_path / "detector.safetensors")
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith(("backbone.", "input_projection.", "encoder."))}
    assert len(changed) == taken
    assert all(torch.equal(model.state_dict()[name], other.model.state_dict()[name]) for name in changed)


@pytest.mark.parametrize(
    ("measure", "other", "message"),
    [
        ("backbone_stride", 16, "expected a detector with backbone_stride 32, got 16"),
        ("num_encoder_layers", 1, "expected a detector with num_encoder_layers 2, got 1"),
        ("num_heads", 2, "expected a detector with num_heads 4, got 2"),
    ],
)
def test_a_detector_of_other_dimensions_is_refused_by_name(tmp_path, untrained, measure, other, message):
    config = dataclasses.replace(VARIANTS["tiny"], **{measure: other})
    save_checkpoint(untrained_checkpoint(config, load_vocabulary("vcoco")), tmp_path / "detector.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_detector_weights(untrained().model, tmp_path / "detector.safetensors")

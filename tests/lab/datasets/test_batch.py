import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.lab.datasets.batch import Sample, Target, collate


def target(count, categories=3):
    return Target(torch.rand(count, 4), torch.rand(count, 4), torch.zeros(count, dtype=torch.int64), torch.ones(count, categories))


def test_collate_pads_each_image_to_the_largest_and_masks_the_padding():
    samples = [Sample(torch.ones(3, 4, 6), torch.zeros(3, 2, 2), target(2)), Sample(torch.ones(3, 5, 3), torch.zeros(3, 2, 2), target(0))]
    batch = collate(samples)
    assert batch.image.shape == (2, 3, 5, 6)
    assert batch.clip_image.shape == (2, 3, 2, 2)
    assert torch.equal(batch.image[:, 0] == 0, batch.padding_mask)
    assert (~batch.padding_mask).sum(dim=(1, 2)).tolist() == [24, 15]
    assert [len(each.object_labels) for each in batch.targets] == [2, 0]


def test_batch_of_one_image_has_no_padding():
    assert collate([Sample(torch.ones(3, 4, 6), torch.zeros(3, 2, 2), target(1))]).padding_mask is None


@pytest.mark.parametrize("field", ["human_boxes", "object_boxes", "hoi_labels"])
def test_target_refuses_parts_of_unequal_length(field):
    parts = {name: getattr(target(2), name) for name in ("human_boxes", "object_boxes", "object_labels", "hoi_labels")}
    with pytest.raises(ValueError, match=field):
        Target(**parts | {field: parts[field][:1]})


def test_batch_moves_with_its_targets():
    batch = collate([Sample(torch.ones(3, side, 6), torch.zeros(3, 2, 2), target(1)) for side in (4, 5)]).to("meta")
    assert {batch.image.device.type, batch.padding_mask.device.type, batch.targets.pairs.hoi_labels.device.type} == {"meta"}

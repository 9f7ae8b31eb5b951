"""Split a custom data set into two with one vocabulary."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets.annotations import AnnotatedImages
from edge_hoi.lab.datasets.custom import ANNOTATIONS, VOCABULARY, ZERO_SHOT, read_custom, write_vocabulary
from edge_hoi.lab.datasets.files import read_content, read_image_list
from edge_hoi.lab.datasets.writing import Progress, copy_image, write_annotations, writing_dataset
from edge_hoi.vocabulary.data_files import MAX_BYTES


class Split(NamedTuple):
    """Result of a split.

    Attributes:
        train: The part for training.
        test: The rest.
        untrained: Texts of the categories that only the rest has.
    """

    train: AnnotatedImages
    test: AnnotatedImages
    untrained: tuple[str, ...]


def split_dataset(
    folder: Path, train: Path, test: Path, *, fraction: float, seed: int = 0, progress: Progress = lambda _done, _total: None
) -> Split:
    """Copy a custom data set into two: the same images on every machine, with one vocabulary.

    Args:
        folder: The data set's.
        train: Folder of the part for training, missing or empty.
        test: Folder of the rest, likewise.
        fraction: Share of the images for training, between 0 and 1.
        seed: Of the choice.
        progress: Called for each image.

    Raises:
        ConfigError: The fraction leaves a part without images, or both parts have one folder.
        DatasetError: The data set is invalid, or a folder is not empty.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"--fraction is above 0 and below 1, such as 0.8; got {fraction}")
    if train.resolve() == test.resolve():
        raise ConfigError(f"both parts would be in {train}; name two folders")
    whole = read_custom(folder)
    images = read_image_list(folder / ANNOTATIONS)
    count = round(len(images) * fraction)
    if not 0 < count < len(images):
        raise ConfigError(f"a fraction of {fraction} of {len(images)} images leaves a part without images; choose another")
    # This generator's stream is the same in all NumPy versions.
    in_train = np.isin(np.arange(len(images)), np.random.RandomState(seed).permutation(len(images))[:count])
    with writing_dataset(train) as new_train, writing_dataset(test) as new_test:
        for index, is_train in enumerate(in_train.tolist()):
            copy_image(whole.image_path(index), (new_train if is_train else new_test) / whole.annotation(index).file_name)
            progress(index + 1, len(images))
        for new, chosen in ((new_train, in_train), (new_test, ~in_train)):
            write_annotations(
                new, [images[index] | {"file": whole.annotation(index).file_name} for index in np.flatnonzero(chosen).tolist()]
            )
            for name in (VOCABULARY, ZERO_SHOT):
                if (folder / name).is_file():
                    (new / name).write_bytes(read_content(folder / name, MAX_BYTES))
        if not (folder / VOCABULARY).is_file():
            for new in (new_train, new_test):
                write_vocabulary(folder, new / VOCABULARY)
        parts = read_custom(new_train), read_custom(new_test)
    seen, others = ({int(hoi_id) for annotation in part.annotations for hoi_id in annotation.hoi_ids} for part in parts)
    untrained = tuple(whole.vocabulary.hois[hoi_id].text for hoi_id in sorted(others - seen))
    return Split(read_custom(train), read_custom(test), untrained)

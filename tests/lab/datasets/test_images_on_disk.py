import pytest
from annotation_files import write_image

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.images import open_image, read_image, read_image_size


def test_a_truncated_file_is_named(tmp_path):
    path = write_image(tmp_path / "a.jpg", 400, 300)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=r"a\.jpg: the file is damaged or incomplete"):
        open_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "this is not a video or an image"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (open_image, read_image, read_image_size):
        with pytest.raises(DatasetError, match=rf"a\.jpg: .*{reason}"):
            read(tmp_path / "a.jpg")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_image_size(tmp_path / "a.jpg")

import os

import pytest

from edge_hoi.errors import SourceError
from edge_hoi.ingest import SourceKind, source_kind
from edge_hoi.ingest.url import local_path

CANARY = "c@nary/p%ss"


def test_kind_follows_from_scheme_suffix_and_file_system(tmp_path):
    assert source_kind("RTSPS://camera.lan/live") is SourceKind.RTSP
    assert source_kind("https://cdn.example/a.jpg") is SourceKind.HTTP
    assert source_kind("/dev/video0") is SourceKind.DEVICE
    assert source_kind(str(tmp_path)) is SourceKind.FOLDER
    assert source_kind(f"file://{tmp_path}/a%20b.JPG") is SourceKind.IMAGE
    assert source_kind("no such file.mkv") is SourceKind.FILE


def test_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(SourceError, match=r"udp://admin:\*\*\*@239\.0\.0\.1.*rtsp, rtsps, rtmp, rtmps, http, https, not udp") as caught:
        source_kind(f"udp://admin:{CANARY}@239.0.0.1")
    assert caught.value.code == "unsupported"
    assert not caught.value.is_retryable


def test_a_file_url_reaches_names_that_are_not_utf8():
    assert os.fsencode(local_path("file:///videos/clip-%E9%20.mp4")) == b"/videos/clip-\xe9 .mp4"


@pytest.mark.parametrize(("stored", "named"), [("M\u00f6we.mp4", "Mo\u0308we.mp4"), ("Mo\u0308we.mp4", "M\u00f6we.mp4")])
def test_a_name_is_found_in_either_unicode_form(tmp_path, stored, named):
    (tmp_path / stored).touch()
    assert local_path(str(tmp_path / named)) == tmp_path / stored
    assert local_path(f"file://{tmp_path / named}") == tmp_path / stored
    assert local_path(str(tmp_path / f"no {named}")) == tmp_path / f"no {named}"

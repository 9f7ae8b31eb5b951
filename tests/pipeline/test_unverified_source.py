"""A source whose server's certificate is not verified is named as such."""

from dataclasses import replace

import pytest
from rig import Rig, recording

from edge_hoi.cli.display import progress_line
from edge_hoi.config import SourceConfig
from edge_hoi.pipeline.build import make_reader


@pytest.mark.parametrize(("is_tls_verified", "is_unverified"), [(False, True), (True, False), (None, False)])
def test_status_and_progress_line_say_that_a_certificate_is_not_verified(is_tls_verified, is_unverified):
    def source():
        fake = recording("gate", seconds=1)()
        fake.info = replace(fake.info, is_tls_verified=is_tls_verified)
        return fake

    rig = Rig()
    (status,) = rig.run(rig.camera("gate", source))
    assert status.is_unverified is is_unverified
    assert ("TLS not verified" in progress_line(status).plain) is is_unverified


def test_settings_of_a_source_reach_its_opening(monkeypatch):
    opened = {}
    monkeypatch.setattr("edge_hoi.pipeline.build.open_source", lambda url, **options: opened.update(options))
    settings = {"max_pixels": 99, "tls_verify": False, "ca_file": "/ca.pem", "allowed_hosts": ("cdn.example",)}
    reader, _ = make_reader(SourceConfig(url="https://camera.example/", **settings), "door")
    with reader:
        assert reader.mailbox.get(60) is None
    assert settings.items() <= opened.items()

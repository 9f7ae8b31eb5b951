"""`edge-hoi sources discover` with simulated devices on loopback."""

import pytest
from servers.onvif_device import OnvifDevice

from edge_hoi import masking
from edge_hoi.config import load_config

PASSWORD = "C@nary/p%ss: <7>"
TWO_CHANNELS = [("main", "1", "H264", 1280, 720), ("sub", "1", "JPEG", 640, 360), ("yard", "2", "", 0, 0)]


@pytest.fixture(autouse=True)
def _remembers_nothing_else(monkeypatch):
    monkeypatch.setattr(masking, "_remembered", {})


@pytest.fixture
def camera():
    with OnvifDevice("viewer", PASSWORD) as device:
        yield device


@pytest.fixture
def recorder():
    with OnvifDevice("viewer", PASSWORD, digest=True, profiles=TWO_CHANNELS) as device:
        device.scopes = "onvif://www.onvif.org/name/Recorder"
        yield device


@pytest.fixture
def password_file(tmp_path):
    (tmp_path / "camera password").write_text(PASSWORD + "\n")
    return tmp_path / "camera password"


def test_cameras_that_answer_are_listed_with_their_streams(edge_hoi, camera, recorder, monkeypatch):
    monkeypatch.setenv("CAMERA_PASSWORD", PASSWORD)
    camera.stream_url = "rtsp://127.0.0.1/live/{}?psw=canary-1"
    code, printed = edge_hoi("sources", "discover", "--seconds", "1", "--username", "viewer")
    assert code == 0
    lines = [line.split() for line in printed.splitlines()]
    assert f"Yard North C-100 127.0.0.1:{camera.port} 1 2560x1440 H265 rtsp://127.0.0.1/live/main?psw=***".split() in lines
    assert f"Recorder 127.0.0.1:{recorder.port} 1 640x360 JPEG rtsp://127.0.0.1:8554/sub?channel=***".split() in lines
    assert f"Recorder 127.0.0.1:{recorder.port} 2 - - rtsp://127.0.0.1:8554/***?channel=***".split() in lines


def test_a_configuration_is_printed_without_the_password(edge_hoi, camera, recorder, password_file, tmp_path, monkeypatch):
    camera.stream_url = "rtsp://viewer:x@127.0.0.1:8554/{}?at=a@b"
    recorder.stream_url = "rtsp://127.0.0.1:8554/{}?a=${{HOME}}&b=1"
    hosts = [f"127.0.0.1:{device.port}" for device in (camera, recorder)]
    options = ["--username", "viewer", "--password-file", password_file, "--format", "yaml"]
    code, printed = edge_hoi("sources", "discover", *hosts, *options)
    assert code == 0
    (tmp_path / "cameras.yaml").write_text(printed)
    sources = load_config(tmp_path / "cameras.yaml").sources
    assert [source.id for source in sources] == ["127.0.0.1", "127.0.0.1-1", "127.0.0.1-2"]
    assert sources[0].url == "rtsp://127.0.0.1:8554/main?at=a%40b"
    assert [source.url for source in sources][1:] == [f"rtsp://127.0.0.1:8554/{name}?a=%24{{HOME}}&b=1" for name in ("main", "yard")]
    assert {(source.username, source.password, source.password_file) for source in sources} == {("viewer", None, str(password_file))}
    assert "  # 640x360 JPEG: rtsp://127.0.0.1:8554/sub?a=%24{HOME}&b=1" in printed.splitlines()


@pytest.mark.parametrize("password", ["Canary-77", "C@nary/77"])
def test_a_password_that_a_camera_repeats_in_an_address_becomes_a_variable(edge_hoi, tmp_path, monkeypatch, password):
    monkeypatch.setenv("CAMERA_PASSWORD", password)
    with OnvifDevice("viewer", password) as device:
        device.stream_url = "rtsp://127.0.0.1/{}?p=Canary-77&q=C%40nary%2F77&r=C@nary/77"
        code, printed = edge_hoi("sources", "discover", f"127.0.0.1:{device.port}", "--username", "viewer", "--format", "yaml")
    assert code == 0
    (tmp_path / "cameras.yaml").write_text(printed)
    (source,) = load_config(tmp_path / "cameras.yaml").sources
    assert "${CAMERA_PASSWORD}" in printed
    assert source.password == password
    assert password not in printed


def test_a_refused_password_is_an_error_of_that_camera_alone(edge_hoi, camera, password_file):
    with OnvifDevice() as open_device:
        hosts = [f"127.0.0.1:{device.port}" for device in (camera, open_device)]
        code, printed = edge_hoi("sources", "discover", *hosts)
    assert code == 0
    fix = "the user name or the password was refused; correct them in --username and --password-file or CAMERA_PASSWORD."
    assert f"error: Cannot read http://127.0.0.1:{camera.port}/onvif/device_service: {fix}" in printed
    assert f"127.0.0.1:{open_device.port}" in printed
    code, printed = edge_hoi("sources", "discover", hosts[0], "--format", "yaml")
    assert code == 3
    assert "sources: []\n" in printed


def test_a_device_without_video_is_named(edge_hoi):
    with OnvifDevice(profiles=[("sound", "", "", 0, 0)]) as device:
        code, printed = edge_hoi("sources", "discover", device.url)
    assert code == 3
    assert f"note: {device.url}: it has no stream of video" in printed


def test_nothing_that_answers_is_an_error(edge_hoi, monkeypatch):
    monkeypatch.setattr("edge_hoi.ingest.onvif.discover", lambda seconds: [])
    code, printed = edge_hoi("sources", "discover", "--seconds", "0.1")
    assert code == 3
    assert "No ONVIF camera answered within 0.1 s; see that they are in the same network" in printed


@pytest.mark.parametrize("device", ["a b", "rtsp://127.0.0.1/x", "viewer:Canary-8@127.0.0.1", "http://me:Canary-8@h/x", "h:x", "h:0", "["])
def test_what_is_no_device_is_refused_without_its_secrets(edge_hoi, device):
    code, printed = edge_hoi("sources", "discover", device)
    assert code in (2, 3)
    assert "Canary-8" not in printed
    assert "Traceback" not in printed


def test_a_password_needs_a_user_and_a_user_a_password(edge_hoi, password_file, tmp_path, monkeypatch):
    for name in ("CAMERA_PASSWORD", "CAMERA_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert edge_hoi("sources", "discover", "h", "--password-file", password_file)[0] == 2
    code, printed = edge_hoi("sources", "discover", "h", "--username", "viewer")
    assert (code, "export CAMERA_PASSWORD=" in printed) == (2, True)
    password_file.write_bytes(b"\xff")
    code, printed = edge_hoi("sources", "discover", "h", "--username", "viewer", "--password-file", password_file)
    assert (code, "cannot be read (not UTF-8)" in printed) == (2, True)

"""One masking for every text that leaves the program."""

import json
import logging
import re
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from edge_hoi import masking
from edge_hoi.config import SourceConfig
from edge_hoi.ingest import SourceKind
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.masking import get_logger, mask, mask_record, mask_url, names_secret, remember, secrets_of_url
from edge_hoi.pipeline.source_names import name_sources

CANARY = "c@nary/p%ss1"
PACKAGE = Path(masking.__file__).parent


@pytest.fixture(autouse=True)
def _remembers_nothing_else(monkeypatch):
    monkeypatch.setattr(masking, "_remembered", {})


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("rtsp://camera.lan:554/live", "rtsp://camera.lan:554/live"),
        ("rtsp://[fe80::1]:554/Streaming/Channels/101", "rtsp://[fe80::1]:554/Streaming/Channels/101"),
        ("rtsp://camera.lan/h264Preview_01_main", "rtsp://camera.lan/h264Preview_01_main"),
        ("rtsp://camera.lan/axis-media/media.amp", "rtsp://camera.lan/axis-media/media.amp"),
        ("rtsp://camera.lan/live/ch00_0", "rtsp://camera.lan/live/ch00_0"),
        # user information
        ("rtsp://admin:secret@camera.lan:554/live", "rtsp://admin:***@camera.lan:554/live"),
        ("rtsp://admin:p%40ss@camera.lan/live", "rtsp://admin:***@camera.lan/live"),
        (f"rtsp://admin:{CANARY}@camera.lan/live", "rtsp://admin:***@camera.lan/live"),
        ("rtsp://admin:a:b@camera.lan/live", "rtsp://admin:***@camera.lan/live"),
        ("rtsp://sesame@camera.lan/live", "rtsp://***@camera.lan/live"),
        ("rtsp://sesame:@camera.lan/live", "rtsp://***@camera.lan/live"),
        ("rtsp://admin:1/2?3#4@camera.lan/live", "rtsp://***"),
        ("rtsp://camera.lan/live?x=a@b", "rtsp://***"),
        ("rtsp://viewer:${CAMERA_PASSWORD}@camera.lan/live", "rtsp://viewer:${CAMERA_PASSWORD}@camera.lan/live"),
        # spaces, and no scheme
        (" rtsp://admin:sesame@camera.lan/live", " rtsp://admin:***@camera.lan/live"),
        ("admin:sesame@camera.lan/live", "admin:***@camera.lan/live"),
        ("/etc/edge-hoi/admin:ses/ame@camera.lan/live", "/etc/edge-hoi/admin:***@camera.lan/live"),
        ("camera.lan:sesame/live", "camera.lan:sesame/live"),  # a file, as far as one can tell
        ("rtsp://camera.lan:sesame/live", "rtsp://***/live"),
        # queries
        ("rtsp://camera.lan/live?sesame", "rtsp://camera.lan/live?***"),
        ("rtsp://camera.lan/live?loginuse=admin&loginpas=sesame", "rtsp://camera.lan/live?loginuse=***&loginpas=***"),
        ("rtsp://camera.lan/live?usr=admin;p=sesame", "rtsp://camera.lan/live?usr=***;p=***"),
        ("https://camera.lan/live?X-Amz-Signature=abc#sesame", "https://camera.lan/live?X-Amz-Signature=***#***"),
        # paths
        ("rtsp://camera.lan/user=admin&password=abc&channel=1", "rtsp://camera.lan/***"),
        ("rtsp://camera.lan/live/admin/sesame/1", "rtsp://camera.lan/live/***/***/1"),
        ("rtsps://camera.lan:7441/AbCdEfGhIjKlMnOp?enableSrtp", "rtsps://camera.lan:7441/***?***"),
        ("https://cdn.example/clip@720p.mp4", "https://cdn.example/***"),
        # files of this machine
        ("clips/token=1@home.mp4", "clips/token=1@home.mp4"),
        ("file:///clips/12:30@home.mp4?x", "file:///clips/12:30@home.mp4?x"),
        ("C:/clips/a.mp4", "C:/clips/a.mp4"),
    ],
)
def test_masked_url_shows_the_host_and_no_secret(url, masked):
    assert mask_url(url) == masked
    assert mask_url(masked) == masked


def test_a_file_is_no_address_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "12:30@gate.mp4").touch()
    assert mask_url("12:30@gate.mp4") == "12:30@gate.mp4"
    assert mask_url("12:31@gate.mp4") == "12:***@gate.mp4"
    assert name_sources([(None, "12:30@gate.mp4")]) == ["12-30-gate"]


@pytest.mark.parametrize("part", ["user:{}@host/live", "{}@host/live", "host/live?{}", "host/live?p={}", "host/{}/live", "host/live#{}"])
@pytest.mark.parametrize("secret", ["s3cret-0", "Hunter2x", quote(CANARY, safe="")])
@pytest.mark.parametrize("scheme", ["rtsp://", "http://", " rtsps://"])
def test_no_part_of_an_address_that_may_be_a_secret_becomes_an_id_or_is_shown(part, secret, scheme):
    url = scheme + part.format(secret)
    assert secret in secrets_of_url(url)
    assert secret not in mask_url(url)
    if scheme.strip() == scheme:
        assert name_sources([(None, url)]) in (["host"], ["host-live"])


def test_an_address_without_its_scheme_gives_no_secret_to_the_id():
    assert name_sources([(None, "admin:s3cret@10.0.0.1/live"), (None, "rtsp://a:b?c@d")]) == ["10.0.0.1-live", "source"]


def test_cameras_that_only_their_place_tells_apart_bring_a_note():
    notes = []
    urls = ["rtsp://h/Gate-1", "rtsp://h/Gate-2", "rtsp://h/live", "rtsp://h/live", "a/b.mp4", "c/b.mp4"]
    assert name_sources([(None, url) for url in urls], notes.append) == ["h", "h-2", "h-live", "h-live-2", "b", "b-2"]
    assert [note.split(" by ")[0] for note in notes] == ["rtsp://h/*** is called h-2"]


def test_urls_in_other_texts_keep_their_paths():
    text = 'see "https://docs.example/mqtt/#discovery"; rtsp://a:s3cret@h/gate?key=s3cret, and http://h:80/x.'
    assert mask(text) == 'see "https://docs.example/mqtt/#discovery"; rtsp://a:***@h/gate?key=***, and http://h:80/x.'


def test_remembered_secrets_are_masked_in_all_forms_and_words_are_not():
    for secret in (CANARY, "Bearer s3cr3t", "stream", "1234", "edge-hoi", "", "rtsp://u:Hunter2@h/live?t0k3n"):
        remember(secret)
    text = (
        f"{CANARY} {quote(CANARY)} {quote(CANARY, safe='')} {json.dumps(CANARY)} Bearer s3cr3t; s3cr3t Hunter2 t0k3n stream 1234 edge-hoi"
    )
    assert mask(text) == '*** *** *** "***" ***; *** *** *** stream 1234 edge-hoi'


@pytest.mark.parametrize("part", ["a", "a://", "://", "a:", "@", "?", "=", "/a:", "a://)", "%41"])
def test_a_megabyte_of_a_server_s_text_is_masked_in_linear_time(part):
    began = time.thread_time()
    mask(part * (1_000_000 // len(part)), ["Hunter2-x"])
    assert time.thread_time() - began < 5


def test_user_and_password_are_masked_as_they_are_sent():
    remember("http://me:k%40nari-1@h/live")
    assert mask("Authorization: Basic bWU6a0BuYXJpLTE= k@nari-1 k%40nari-1") == "Authorization: Basic *** *** ***"


def test_a_traceback_in_a_record_of_the_log_is_formatted_without_secrets(caplog):
    logger = logging.getLogger("edge_hoi.outbox.relay")
    assert mask_record in logger.filters
    remember("Hunter2-x")
    try:
        try:
            int("Hunter2-x")
        except ValueError as error:
            raise RuntimeError("rtsp://u:other@h/live") from error
    except RuntimeError:
        logger.exception("failed")
    logger.warning("no traceback of %s", "Hunter2-x")
    assert caplog.text.count("Traceback (most recent call last)") == 2
    assert "RuntimeError: rtsp://u:***@h/live\n" in caplog.text
    assert "base 10: '***'\n" in caplog.text
    assert caplog.records[1].exc_text is None
    assert caplog.records[1].getMessage() == "no traceback of ***"


def test_every_logger_of_the_package_masks_what_it_writes(caplog):
    makers = {
        path.name: re.findall(r"getLogger\((?:__name__|\W*edge_hoi)", path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")
    }
    assert {name for name, found in makers.items() if found} == {"decoding_process.py"}  # which hands messages over as they are
    remember("Hunter2-x")
    for number in range(3):
        get_logger("edge_hoi.somewhere").warning("%d: %s, rtsp://u:other@h/live", number, OSError("Hunter2-x"))
    assert [record.getMessage() for record in caplog.records] == [f"{number}: ***, rtsp://u:***@h/live" for number in range(3)]
    assert len(logging.getLogger("edge_hoi.somewhere").filters) == 1


def test_of_an_address_only_the_parts_that_may_be_secret_are_remembered():
    for url in ("rtsp://camera.lan:554/live", "http://h0:80/", "rtsp://u:Hunter2@h1/live?k=t0ken"):
        remember(url)
    for path in ("street-2024.mp4", "/dev/video0"):
        assert secrets_of_url(path) == []
    assert mask("camera.lan:554 http://h0:80/ h1 Hunter2 t0ken") == "camera.lan:554 http://h0:80/ h1 *** ***"


def test_the_oldest_secrets_are_forgotten_at_the_limit(monkeypatch):
    monkeypatch.setattr(masking, "_MAX_REMEMBERED", 2)
    for secret in ("first-1", "second-2", "third-3"):
        remember(secret)
    assert mask("first-1 second-2 third-3") == "first-1 *** ***"


@pytest.mark.parametrize("name", ["CAMERA_PASSWORD", "camera_pw", "PW", "API_KEY", "loginpas", "psw", "MQTT_TOKEN"])
def test_names_of_secrets_are_recognised(name):
    assert names_secret(name)
    assert not names_secret("HOME")
    assert not names_secret("CAMERA_HOST")


@pytest.mark.parametrize(
    ("address", "masked", "name"),
    [
        ("cam/stream?password=canary7", "cam/stream?password=***", "cam-stream"),
        ("10.0.0.9:554/user=admin&psw=canary7&channel=1", "10.0.0.9:554/user=***&psw=***&channel=***", "10.0.0.9-554-user-psw-channel"),
        ("cam/live?usr=viewer&p=canary7", "cam/live?usr=***&p=***", "cam-live"),
        ("clips/take=3.mp4", "clips/take=3.mp4", "take-3"),
    ],
)
def test_secrets_of_addresses_without_a_scheme_are_masked_and_in_no_name(address, masked, name):
    assert mask_url(address) == masked
    assert name_sources([(None, address)]) == [name]
    assert ("canary7" in secrets_of_url(address)) == ("canary7" in address)


def test_a_file_that_exists_is_shown_whatever_its_name(tmp_path):
    path = tmp_path / "take?password=canary7.mp4"
    assert "canary7" not in mask_url(str(path))
    path.touch()
    assert mask_url(str(path)) == str(path)
    assert secrets_of_url(str(path)) == []


@pytest.mark.parametrize("space", [" ", "\t", "\n", "  "])
def test_spaces_around_an_address_are_left_out(space):
    assert SourceConfig(url=f"{space}rtsp://user:canary7@cam/s{space}").url == "rtsp://user:canary7@cam/s"
    assert "canary7" not in mask_url(f"{space}rtsp://user:canary7@cam/s")
    assert SourceConfig(url=" clip.mp4").url == " clip.mp4"


FORMS = [
    "rtsp://me:{}@h:5/live",
    " rtsp://me:{}@h:5/live",
    "\trtsp://me:{}@h/live",
    "RTSP://me:{}@h/live",
    "rtsp:/me:{}@h/live",
    "rtsp:me:{}@h/live",
    "//me:{}@h/live",
    "me:{}@h:5/live",
    " me:{}@h:5/live",
    "rtsp://h/{}/live",
    "rtsp://h/live?{}",
    "rtsp://h/live#{}",
    "rtsps://h/live;{}",
    "rtsp://h/user=me_password={}_channel=1_stream=0.sdp",
    *(
        f"{start}h:8/v?{user}{key}={{}}"
        for start in ("http://", "http:/", " http://", "")
        for user in ("", "usr=me&")
        for key in ("loginpas", "psw", "pw")
    ),
    *(f"{start}h/v?usr=me&p={{}}" for start in ("http://", "")),
    "h/user=me&psw={}",
    "h/user=me_password={}_channel=1",
]
SECRETS = [
    "kanari7X",
    "kanari@7X",
    "kanari/7X",
    "kanari%7X",
    "kanari@/%41X",
    "k/kanari@7X",
    "kanari?7X",
    "kanari#7X",
    "kanari:7X",
    "kanari 7X",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_any_form_of_an_address_is_in_no_message_repr_or_id(form):
    for secret in (*SECRETS, *map(quote, SECRETS), *(quote(secret, safe="") for secret in SECRETS)):
        url = form.format(secret)
        told = [
            mask_url(url),
            *name_sources([(None, url)]),
            repr(SourceConfig(url=url)),
            str(source_error(url, SourceKind.FILE, "not_found")),
        ]
        assert "kanari" not in "".join(told), url


def test_a_token_before_a_host_is_masked_and_a_file_with_an_at_sign_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mask_url("t0ken-1@h:554/live") == "***@h:554/live"
    assert mask_url("/etc/edge-hoi/t0ken-1@h/live") == "/etc/edge-hoi/***@h/live"
    assert mask_url("clips/gate@home.mp4") == "clips/gate@home.mp4"
    (tmp_path / "gate@home").mkdir()
    (tmp_path / "gate@home" / "a.mp4").touch()
    assert mask_url("gate@home/a.mp4") == "gate@home/a.mp4"


class Showing(logging.Handler):
    """Formats all of a record itself, as handlers of other programs do."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def emit(self, record):
        error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self.shown.append("\n".join(filter(None, (record.getMessage(), record.exc_text, error, record.stack_info))))


@pytest.fixture
def showing():
    handler, logger = Showing(), get_logger("edge_hoi.somewhere.else")
    logger.addHandler(handler)
    yield logger, handler.shown
    logger.removeHandler(handler)


def test_a_handler_that_formats_errors_and_stacks_itself_gets_no_secret(showing):
    logger, shown = showing
    remember("Hunter2-x")
    try:
        raise ValueError("Hunter2-x")
    except ValueError:
        logger.exception("failed", stack_info=True)  # with "Hunter2-x" in the source of this line
    (text,) = shown
    assert "ValueError: ***" in text
    assert "Stack (most recent call last):" in text
    assert "Hunter2-x" not in text


def test_a_message_that_cannot_be_formatted_is_written_and_raises_nothing(showing):
    logger, shown = showing
    remember("Hunter2-x")
    logger.warning("Hunter2-x: %d frames", "many")
    assert shown == ["a message cannot be formatted: '***: %d frames' (%d format: a real number is required, not str)"]

"""ONVIF: simulated devices on loopback, and hostile ones."""

import socket
import threading
import time
import tracemalloc
from datetime import timedelta

import pytest
from busy_machine import within
from servers.onvif_device import ENVELOPE, OnvifDevice
from servers.raw_server import endlessly, forward_to, http_pages, redirect_to

from edge_hoi.errors import SourceError
from edge_hoi.ingest.onvif import Credentials, Device, discover, stream_addresses
from edge_hoi.ingest.onvif.xml import parse_xml, text_of

GROUP = ("239.255.255.250", 0)
USER = Credentials("viewer", "C@nary/p%ss: <7>")
BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(b'<!ENTITY %c "%b">' % (c, b"&%c;" % (c - 1) * 10) for c in range(98, 107))
BOMB += b"]><a>&j;</a>"


@pytest.fixture
def device():
    with OnvifDevice(group=GROUP) as device:
        yield device


def refusal_of(url, **options):
    with pytest.raises(SourceError) as caught:
        stream_addresses(url, None, **({"seconds": 5} | options))
    return caught.value


# Search


def test_a_device_that_answers_is_found_once_with_its_name(device):
    assert discover(1.5, group=device.group) == [Device(device.url, "Yard North C-100")]


def test_a_device_without_a_name_and_with_several_addresses_is_found_by_its_own(device):
    device.scopes, device.addresses = "", f"http://[fe80::1]/x http://other.example/x {device.url} http://127.0.0.1/later"
    assert discover(within(0.5), group=device.group) == [Device(device.url, "")]


@pytest.mark.parametrize(
    "addresses",
    ["http://192.0.2.1/onvif", "http://user@127.0.0.1/onvif", "file:///etc/passwd", "http://127.0.0.1:x/", "http://[", "", "127.0.0.1"],
)
def test_no_device_can_name_another_address_than_its_own(device, addresses):
    device.addresses = addresses
    match, answered = device.match, threading.Event()

    def answer(message):
        yield from match(message)
        answered.set()

    device.match = answer
    assert discover(within(0.5), group=device.group) == []
    assert answered.is_set()


@pytest.mark.parametrize(
    "answer", [b"", b"\xff", BOMB, b"<a>" * 100, b"<a" + b" b='c'" * 9000, b"<?xml version='1.0' encoding='x'?><a/>"], ids=range(6)
)
def test_datagrams_that_are_no_answers_are_left_out(device, answer):
    match = device.match
    device.match = lambda message: [answer, *match("urn:uuid:another"), *match(message)]
    assert discover(within(0.5), group=device.group) == [Device(device.url, "Yard North C-100")]


def test_a_name_has_no_control_characters_and_a_limited_length(device):
    device.scopes = f"onvif://www.onvif.org/name/a%1B[31m%0Ab%E2%80%AEc%FF{'x' * 100}"
    (found,) = discover(within(0.5), group=device.group)
    assert found.name == "a 31m b c " + "x" * 54


def test_a_flood_of_answers_ends_in_time(device):
    match, ended = device.match, threading.Event()

    def flood(message):
        while not ended.is_set():
            yield match(message)[0].replace(b"device_service", b"device_service%d" % time.monotonic_ns())

    device.match = flood
    started = time.monotonic()
    try:
        found = discover(1.0, group=device.group)
    finally:
        ended.set()
    assert 1 <= len(found) <= 16
    assert time.monotonic() - started < within(2.0)


def test_without_a_device_the_search_ends_in_time():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        started = time.monotonic()
        assert discover(0.5, group=("239.255.255.250", unused.getsockname()[1])) == []
        assert 0.5 <= time.monotonic() - started < within(1.0)


# Streams


@pytest.mark.parametrize("digest", [False, True], ids=["UsernameToken", "HTTP digest"])
def test_streams_are_listed_from_the_largest_to_a_user_whose_digest_is_right(digest):
    with OnvifDevice(USER.username, USER.password, digest=digest, group=GROUP) as device:
        streams = stream_addresses(device.url, USER, seconds=10)
        assert [(each.url, each.width, each.height, each.codec, each.channel) for each in streams] == [
            ("rtsp://127.0.0.1:8554/main?channel=1", 2560, 1440, "H265", 1),
            ("rtsp://127.0.0.1:8554/sub?channel=1", 640, 360, "H264", 1),
        ]
        for credentials in (None, Credentials("viewer", "wrong-canary"), Credentials("other", USER.password)):
            with pytest.raises(SourceError) as caught:
                stream_addresses(device.url, credentials, seconds=10, password_place="the file")
            assert caught.value.code == "unauthorized"
            assert str(caught.value).endswith("the user name or the password was refused; correct them in the file.")


def test_a_media_service_may_have_another_port(serve):
    with OnvifDevice(USER.username, USER.password, digest=True, group=GROUP) as device:
        port = serve(forward_to(device.port)).port
        device.answers["GetCapabilities"] = ENVELOPE.format(f"<Media><XAddr>http://127.0.0.1:{port}/onvif/media</XAddr></Media>").encode()
        assert len(stream_addresses(device.url, USER, seconds=10)) == 2


@pytest.mark.parametrize("hours", [-500_000, -9000, 0, 9000])  # the first is of 1969
def test_digests_are_dated_by_the_devices_clock(hours):
    with OnvifDevice(USER.username, USER.password, group=GROUP) as device:
        device.clock = timedelta(hours=hours)
        assert len(stream_addresses(device.url, USER, seconds=10)) == 2
        device.answers["GetSystemDateAndTime"] = ENVELOPE.format("").encode()
        if hours:
            assert refusal_of(device.url).code == "unauthorized"


@pytest.mark.parametrize("date", [(9999, 12, 31), (1, 1, 1)])
def test_an_impossible_clock_is_not_believed(date):
    year, month, day = (f"<{name}>{value}</{name}>" for name, value in zip(("Year", "Month", "Day"), date, strict=True))
    time_of_day = "<Time><Hour>23</Hour><Minute>59</Minute><Second>59</Second></Time>"
    with OnvifDevice(USER.username, USER.password, group=GROUP) as device:
        clock = f"<UTCDateTime>{time_of_day}<Date>{year}{month}{day}</Date></UTCDateTime>"
        device.answers["GetSystemDateAndTime"] = ENVELOPE.format(clock).encode()
        assert len(stream_addresses(device.url, USER, seconds=10)) == 2


def test_a_stream_whose_address_is_not_told_hides_no_other(device, caplog):
    def refuse_once(handler):
        del device.answers["GetStreamUri"]
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + ENVELOPE.format("<s:Fault/>").encode())

    device.answers["GetStreamUri"] = refuse_once
    (stream,) = stream_addresses(device.url, None, seconds=10)
    assert (stream.codec, stream.width) == ("H265", 2560)
    (record,) = caplog.records
    assert "one of its streams is left out: " in record.getMessage()


def test_a_recorder_has_channels_and_profiles_without_video_are_left_out():
    profiles = [("a", "1", "H264", 640, 360), ("b", "2", "H264", 640, 360), ("c", "1", "H264", 1280, 720), ("sound", "", "", 0, 0)]
    with OnvifDevice(group=GROUP, profiles=profiles) as device:
        streams = stream_addresses(device.url, None, seconds=10)
    assert [(each.url[22:23], each.channel) for each in streams] == [("c", 1), ("a", 1), ("b", 2)]


def test_the_user_of_an_address_is_left_out_and_no_variable_is_in_it(device):
    device.stream_url = "rtsp://admin:canary-3@127.0.0.1/{}?x=${{HOME}}&token=canary-4"
    main, _ = stream_addresses(device.url, None, seconds=10)
    assert main.url == "rtsp://127.0.0.1/main?x=%24{HOME}&token=canary-4"
    assert "canary" not in repr(main)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://192.0.2.1/{}",
        "rtsp://127.0.0.1.example/{}",
        "rtsp://192.0.2.1@evil.example/{}",
        "file:///etc/passwd#{}",
        "rtsp://127.0.0.1/{}\n- url: x",
        "rtsp://127.0.0.1/{} x",
        "rtsp://127.0.0.1:x/{}",
        "rtsp://[/{}",
        "rtsp://127.0.0.1/é{}",
        "rtsp://127.0.0.1/{}" + "x" * 2000,
        "",
    ],
)
def test_addresses_of_streams_that_are_not_the_devices_own_are_refused(device, url):
    device.stream_url = url
    error = refusal_of(device.url)
    assert error.code == "refused"
    assert "none of its own" in str(error)
    assert "\n" not in str(error)


def test_a_media_service_of_another_host_gets_no_request(device, serve):
    other = serve(http_pages({}), host="127.0.0.2")
    device.answers["GetCapabilities"] = ENVELOPE.format(f"<Media><XAddr>http://127.0.0.2:{other.port}/media</XAddr></Media>").encode()
    assert "it leads to another host, 127.0.0.2" in str(refusal_of(device.url))
    assert other.connections == 0


def test_redirects_are_not_followed(serve):
    other = serve(http_pages({}))
    server = serve(http_pages({"/onvif/device_service": redirect_to(f"http://127.0.0.1:{other.port}/x")}))
    assert "the server answered 302" in str(refusal_of(f"http://127.0.0.1:{server.port}/onvif/device_service"))
    assert other.connections == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BOMB, "it answered with XML with a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'.encode("utf-16"), "it answered with XML with a document type"),
        (b"<a>" * 65, "XML of more than 20000 elements or 64 levels"),
        (b"<a>" + b"<b/>" * 20_000 + b"</a>", "XML of more than 20000 elements or 64 levels"),
        (b"<a>" + b" " * (1 << 20), "it answered with more than 1 MiB"),
        (b"<html>canary-5</p>", "it answered with no XML"),
        (b"", "it answered with no XML"),
        (b"<html>canary-5</html>", "it did not answer as an ONVIF service"),
        (ENVELOPE.format("").encode(), "it names no media service"),
    ],
    ids=range(9),
)
def test_hostile_answers_are_refused_and_not_quoted(device, answer, words):
    device.answers["GetCapabilities"] = answer
    error = refusal_of(device.url)
    assert error.code == "refused"
    assert words in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("is_slow", [False, True], ids=["endless", "slow"])
def test_an_answer_without_an_end_ends_in_time(serve, is_slow):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n<a>"

    def drip(handler):
        handler.wfile.write(head)
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.1)

    server = serve(http_pages({"/onvif": drip if is_slow else endlessly(head)}))
    started = time.monotonic()
    error = refusal_of(f"http://127.0.0.1:{server.port}/onvif", seconds=1.0)
    assert error.code == ("timeout" if is_slow else "refused")
    assert time.monotonic() - started < within(2.0)


def test_a_fault_is_no_refused_password_unless_it_says_so(device):
    device.answers["GetProfiles"] = ENVELOPE.format("<s:Fault><s:Reason>canary-6</s:Reason></s:Fault>").encode()
    assert refusal_of(device.url).code == "refused"


def test_xml_of_any_namespace_is_read_by_its_tags():
    root = parse_xml(b'<a:x xmlns:a="u" xmlns="v"><y><a:z b="1"> one </a:z></y><z>two</z></a:x>')
    assert root.tag == "x"
    assert (text_of(root, "z"), text_of(root, "y", "z"), text_of(root, "z", "y"), text_of(None, "z")) == ("one", "one", "", "")


def test_a_long_namespace_is_not_copied_into_each_tag():
    tags = b"".join(b"<b%x/>" % number for number in range(100))
    document = b'<a xmlns="' + b"u" * 1_000_000 + b'">' + tags + b"</a>"
    tracemalloc.start()
    try:
        assert len(parse_xml(document)) == 100
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()

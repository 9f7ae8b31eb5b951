"""Cameras and servers that misbehave: what they reach, and what they make this process allocate, stays limited."""

import itertools
import logging
import socket
import ssl
import struct
import threading
import time
import zlib
from hashlib import md5

import av
import psutil
import pytest
from busy_machine import within
from hostile_sources import OTHER_HOST, frames_of, read_in_a_child, refusal_of
from numbered_clips import number_of, numbered_image, write_clip, write_image
from PIL import Image
from servers.certificates import HAS_OPENSSL, make_certificate
from servers.raw_server import endlessly, forward_to, http_pages, redirect_to

from edge_hoi.config import SourceConfig
from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest import ReaderState, open_source
from edge_hoi.ingest.remote_access import RemoteAccess
from edge_hoi.pipeline.build import make_reader

trustme = pytest.importorskip("trustme", reason="needs trustme to make certificates: pip install '.[dev]'")

PASSWORD = "canary-of-the-password"
SMALL = (64, 64)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def tls_of(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


# Certificates


@pytest.fixture(params=["https", "rtsps"])
def tls_source(request, clip, serve, authority):
    """Return a function that serves the clip by a scheme with TLS, with a certificate of a name."""

    def start(name, issuer=authority):
        if request.param == "https":
            server = serve(http_pages({"/camera": clip.read_bytes()}), tls=tls_of(issuer, name))
        else:
            server = serve(forward_to(request.getfixturevalue("rtsp_server")(clip).port), tls=tls_of(issuer, name))
        return server, f"{request.param}://admin:{PASSWORD}@localhost:{server.port}/camera"

    return start


def test_server_of_an_unknown_authority_is_refused_and_gets_no_request(tls_source):
    server, url = tls_source("localhost", trustme.CA())
    message = refusal_of(url)
    assert "certificate is not trusted" in message
    assert "ca_file" in message
    assert "tls_verify" in message
    assert PASSWORD not in message
    assert (server.connections, server.requests) == (1, [])


def test_certificate_of_another_name_is_refused(tls_source, ca_file):
    server, url = tls_source("camera.example")
    assert "certificate is not trusted" in refusal_of(url, ca_file=ca_file)
    assert server.requests == []


def test_certificate_of_a_given_authority_is_trusted(tls_source, ca_file):
    _, url = tls_source("localhost")
    with open_source(url, source_id="door", ca_file=ca_file) as source:
        assert source.info.is_tls_verified is True
        assert number_of(next(iter(source)).image) == 0


@pytest.mark.skipif(not HAS_OPENSSL, reason="needs openssl to make a certificate")
def test_certificate_that_a_camera_signed_itself_is_trusted_if_given(clip, serve, tmp_path):
    certificate, key = make_certificate(tmp_path, "camera")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    url = f"https://localhost:{serve(http_pages({'/clip.mp4': clip.read_bytes()}), tls=context).port}/clip.mp4"
    assert "certificate is not trusted" in refusal_of(url)
    assert frames_of(url, ca_file=str(certificate)) == list(range(50))


def test_verification_can_be_switched_off_which_the_log_and_the_source_say(tls_source, caplog):
    _, url = tls_source("camera.example", trustme.CA())
    with open_source(url, source_id="door", tls_verify=False) as source:
        assert source.info.is_tls_verified is False
        assert number_of(next(iter(source)).image) == 0
    assert "door: the server's certificate is not verified" in caplog.text


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_server_without_tls_is_named_as_such(scheme, serve):
    server = serve(lambda handler: handler.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(SourceError, match=r"TLS failed \([a-z _]+\); check that the port is one of TLS") as caught:
        frames_of(f"{scheme}://127.0.0.1:{server.port}/camera")
    assert (caught.value.code, caught.value.is_retryable) == ("unreachable", True)


def test_source_without_tls_is_neither_verified_nor_unverified(clip, serve, caplog):
    server = serve(http_pages({"/clip.mp4": clip.read_bytes()}))
    with open_source(f"http://127.0.0.1:{server.port}/clip.mp4", source_id="door", tls_verify=False) as source:
        assert source.info.is_tls_verified is None
    assert caplog.text == ""


def test_ca_file_without_certificates_is_an_error_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"ca_file .*missing\.pem cannot be read"):
        open_source("https://localhost/camera", source_id="door", ca_file=str(tmp_path / "missing.pem"))


@pytest.mark.parametrize("memory_limit", [None, "512MB"], ids=["here", "in a process of its own"])
def test_a_reader_with_such_a_ca_file_fails_and_says_so(tmp_path, memory_limit):
    (tmp_path / "empty.pem").write_text("no certificate")
    source = SourceConfig(url="https://localhost/camera", ca_file=str(tmp_path / "empty.pem"), memory_limit=memory_limit)
    reader, _ = make_reader(source, "door", is_patient=True)
    with reader:
        assert reader.mailbox.get(60) is None
        assert reader.mailbox.is_finished
    assert (reader.state, reader.error.code) == (ReaderState.FAILED, "unsupported")
    assert str(reader.error).startswith(f"door: ca_file {tmp_path / 'empty.pem'} cannot be read as certificates: ")
    assert str(reader.error).endswith("; give a file in PEM.")


# Where a source may lead


def segments_of(clip, folder, **options):
    """Cut the clip into segments of HLS, and return the files by their paths on a server."""
    with av.open(str(clip)) as video, av.open(str(folder / "index.m3u8"), "w", format="hls", options=options | {"hls_time": "1"}) as hls:
        stream = hls.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                hls.mux(packet)
    return {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}


def playlist(*lines):
    return "\n".join(["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", *lines, "#EXT-X-ENDLIST", ""]).encode()


def entry(address):
    return playlist("#EXTINF:1.0,", address)


LURES = {
    "segment": lambda address: {"/index.m3u8": entry(f"http://{address}/0.ts")},
    "segment after one of its own": lambda address: {
        "/index.m3u8": playlist("#EXTINF:1.0,", "index0.ts", "#EXTINF:1,", f"//{address}/0.ts")
    },
    "key": lambda address: {"/index.m3u8": playlist(f'#EXT-X-KEY:METHOD=AES-128,URI="http://{address}/key"', "#EXTINF:1.0,", "index0.ts")},
    "initialisation": lambda address: {"/index.m3u8": playlist(f'#EXT-X-MAP:URI="http://{address}/init.mp4"', "#EXTINF:1.0,", "index0.ts")},
    "variant": lambda address: {"/index.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://%b/v.m3u8\n" % address.encode()},
    "sound": lambda address: {
        "/index.m3u8": b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="http://%b/a.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n'
        b"own.m3u8\n" % address.encode(),
        "/own.m3u8": entry("index0.ts"),
    },
    "redirect": lambda address: {"/index.m3u8": redirect_to(f"http://{address}/0.ts")},
    "redirect of a segment": lambda address: {"/index.m3u8": entry("moved.ts"), "/moved.ts": redirect_to(f"http://{address}/0.ts")},
    "redirect of an encrypted segment": lambda address: {
        "/index.m3u8": playlist('#EXT-X-KEY:METHOD=AES-128,URI="key"', "#EXTINF:1.0,", "moved.ts"),
        "/key": bytes(16),
        "/moved.ts": redirect_to(f"http://{address}/0.ts"),
    },
}


@pytest.mark.parametrize("lure", LURES)
def test_another_host_is_refused_and_gets_no_connection(lure, clip, serve, tmp_path):
    other = serve(http_pages({}), host=OTHER_HOST)
    server = serve(http_pages(segments_of(clip, tmp_path) | LURES[lure](f"{OTHER_HOST}:{other.port}")))
    message = refusal_of(f"http://127.0.0.1:{server.port}/index.m3u8")
    assert f"another host, {OTHER_HOST}" in message
    assert "allowed_hosts" in message
    assert other.connections == 0


def test_another_host_can_be_allowed_by_name_and_gets_no_password(clip, serve, tmp_path):
    other = serve(http_pages(segments_of(clip, tmp_path)), host=OTHER_HOST)
    server = serve(http_pages({"/index.m3u8": entry(f"http://{OTHER_HOST}:{other.port}/index0.ts")}))
    url = f"http://admin:{PASSWORD}@127.0.0.1:{server.port}/index.m3u8"
    assert frames_of(url, allowed_hosts=[OTHER_HOST])[:20] == list(range(20))
    assert all("authorization" not in headers for _, _, headers in other.requests)


@pytest.mark.parametrize(
    ("name", "asked"),
    [(b"\xe6\x28.ts", "/%E6("), (b"\xff.ts", "/%FF"), ("straße.ts".encode(), "/stra%C3%9Fe"), (b"a" * 4094 + "ß.ts".encode(), None)],
)
def test_an_address_of_a_playlist_that_is_not_ascii_is_asked_for_or_an_error(name, asked, serve):
    server = serve(http_pages({"/index.m3u8": playlist("#EXTINF:1.0,", "NAME").replace(b"NAME", name)}))
    with pytest.raises(SourceError):
        frames_of(f"http://127.0.0.1:{server.port}/index.m3u8", open_timeout_seconds=3.0)
    assert asked is None or any(path.startswith(asked) for _, path, _ in server.requests)


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "concat:/etc/passwd|/etc/group", "subfile,,start,0,end,9,,:/etc/passwd", "tcp://127.0.0.1:1/a.ts",
     "udp://127.0.0.1:9/a.ts", "rtmp://127.0.0.1/a", "ftp://127.0.0.1/a.ts", "gopher://127.0.0.1/a.ts", "unix:/run/a.ts",
     "crypto+file:///etc/passwd", "async:file:/etc/passwd"],
)  # fmt: skip
def test_other_protocols_of_a_playlist_are_not_opened(address, serve):
    server = serve(http_pages({"/index.m3u8": entry(address)}))
    with pytest.raises(SourceError) as caught:
        frames_of(f"http://127.0.0.1:{server.port}/index.m3u8", open_timeout_seconds=3.0)
    assert caught.value.code in ("refused", "not_video", "unreachable", "not_found")
    assert all(target in ("/index.m3u8", "/") or target.startswith("/") for _, target, _ in server.requests)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/clip.mp4", "rtsp://127.0.0.1/camera", "data:text/plain,a"])
def test_redirects_to_other_protocols_are_not_followed(address, serve):
    server = serve(http_pages({"/clip.mp4": redirect_to(address)}))
    with pytest.raises(SourceError):
        frames_of(f"http://127.0.0.1:{server.port}/clip.mp4")


def test_redirects_and_segments_without_tls_are_refused_where_the_source_has_it(clip, serve, authority, ca_file):
    plain = serve(http_pages({"/clip.mp4": clip.read_bytes()}))
    to_plain = f"http://localhost:{plain.port}/clip.mp4"
    server = serve(http_pages({"/clip.mp4": redirect_to(to_plain), "/index.m3u8": entry(to_plain)}), tls=tls_of(authority, "localhost"))
    for page in ("clip.mp4", "index.m3u8"):
        assert "from https to http is not allowed" in refusal_of(f"https://localhost:{server.port}/{page}", ca_file=ca_file)
    assert plain.connections == 0


def test_redirects_within_a_host_are_followed_and_end(clip, serve, tmp_path):
    pages = {f"/old{path}": data for path, data in segments_of(clip, tmp_path).items()}
    pages |= {"/index.m3u8": redirect_to("/old/index.m3u8"), "/loop": redirect_to("/loop")}
    pages |= {f"/{number}": redirect_to(f"/{number + 1}") for number in range(9)}
    url = f"http://127.0.0.1:{serve(http_pages(pages)).port}"
    assert frames_of(f"{url}/index.m3u8") == list(range(50))
    for endless in ("loop", "0"):
        with pytest.raises(SourceError):
            frames_of(f"{url}/{endless}")


def test_name_that_leads_nearer_than_the_source_is_refused(serve, monkeypatch):
    server = serve(http_pages({}))
    addresses = iter(["198.51.100.7", "127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "::1"])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (next(addresses), server.port))]
    )
    access = RemoteAccess("http://camera.example/index.m3u8")
    access.deadline.restart(0.2)
    with pytest.raises(OSError, match=r"timed out|unreachable|refused"):
        access.connect("camera.example", server.port, has_tls=False)
    for _ in range(5):
        access.deadline.restart(5.0)
        with pytest.raises(SourceError, match="of this machine or a local network"):
            access.connect("camera.example", server.port, has_tls=False)
    assert server.connections == 0


SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


def test_description_of_a_session_over_http_binds_no_port(serve):
    server = serve(http_pages({"/camera.sdp": SDP}))
    bound, is_done = [], threading.Event()

    def watch():
        while not is_done.is_set():
            bound.extend(psutil.Process().net_connections("udp"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(SourceError) as caught:
        frames_of(f"http://127.0.0.1:{server.port}/camera.sdp", open_timeout_seconds=2.0)
    is_done.set()
    watcher.join()
    assert caught.value.code == "not_video"
    assert bound == []


LISTS = {
    "files": b"ffconcat version 1.0\nfile /etc/passwd\nfile http://127.0.0.1:%d/bait\n",
    "streams": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>http://127.0.0.1:%d/bait</BaseURL></MPD>\n',
    "text": b"\x1b[31mtext as a terminal shows it, %d\r\n",
}


@pytest.mark.parametrize("suffix", ["mp4", "ffconcat", "mpd", "txt"])
@pytest.mark.parametrize("content", LISTS)
def test_formats_that_read_from_elsewhere_or_draw_text_are_no_video_over_http(content, suffix, serve):
    server = serve(http_pages({}))
    server.talk = http_pages({f"/list.{suffix}": LISTS[content] % server.port * 20})
    with pytest.raises(SourceError) as caught:
        frames_of(f"http://127.0.0.1:{server.port}/list.{suffix}")
    assert caught.value.code == "not_video"
    assert "/bait" not in [target for _, target, _ in server.requests]


@pytest.mark.parametrize("address", ["a.ts\rX-Lure: 1", "a.ts HTTP/1.1\r\rX-Lure: 1", "a.ts%0d%0aX-Lure: 1", "a.ts\tX-Lure: 1\x0b\x0c\x85"])
def test_addresses_inject_no_headers(address, serve):
    server = serve(http_pages({"/index.m3u8": entry(address), "/clip.mp4": redirect_to(address)}))
    for page in ("index.m3u8", "clip.mp4"):
        with pytest.raises(SourceError):
            frames_of(
                f"http://a%0d%0aX-Lure%3a 1:b%0d%0aX-Lure%3a 1@127.0.0.1:{server.port}/{page}?a\r\nX-Lure: 1", open_timeout_seconds=3.0
            )
    assert server.requests
    assert not any("x-lure" in name for _, _, headers in server.requests for name in headers)


def test_a_local_playlist_list_of_files_or_description_of_a_session_is_no_video(clip, tmp_path):
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {clip}\n")
    (tmp_path / "list.m3u8").write_bytes(entry("http://127.0.0.1:9/0.ts"))
    (tmp_path / "camera.sdp").write_bytes(SDP)
    for name in ("list.mp4", "list.m3u8", "camera.sdp"):
        with pytest.raises(SourceError) as caught:
            open_source(str(tmp_path / name), source_id="door")
        assert caught.value.code == "not_video"


# HTTP as cameras speak it


def test_digest_is_used_where_it_is_offered_so_that_the_password_is_not_sent(clip, serve):
    def page(handler):
        answer = handler.server.requests[-1][2].get("authorization", "")
        fields = dict(part.strip().replace('"', "").split("=", 1) for part in answer.removeprefix("Digest ").split(",") if "=" in part)
        if not answer.startswith("Digest"):
            handler.wfile.write(
                b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\n'
                b'WWW-Authenticate: Digest realm="camera", nonce="1", qop="auth"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
            )
            return
        user, password = (md5(text.encode()).hexdigest() for text in (f"admin:camera:{PASSWORD}", f"GET:{fields['uri']}"))
        expected = md5(f"{user}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{password}".encode()).hexdigest()
        assert fields["response"] == expected
        data = clip.read_bytes()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(data) + data)

    server = serve(http_pages({"/clip.mp4": page}))
    assert frames_of(f"http://admin:{PASSWORD}@127.0.0.1:{server.port}/clip.mp4") == list(range(50))
    assert not any(headers.get("authorization", "").startswith("Basic") for _, _, headers in server.requests)


def test_encrypted_segments_are_decrypted(clip, serve, tmp_path):
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    (tmp_path / "key_info").write_text(f"key\n{tmp_path / 'key'}\n")
    server = serve(http_pages(segments_of(clip, tmp_path, hls_key_info_file=str(tmp_path / "key_info"))))
    assert frames_of(f"http://127.0.0.1:{server.port}/index.m3u8") == list(range(50))
    assert "/key" in [target for _, target, _ in server.requests]


def test_index_at_the_end_of_a_file_is_found_by_ranges(http_server, tmp_path, serve):
    data = write_clip(tmp_path / "clip.mp4").read_bytes()

    def page(handler):
        first = int(handler.server.requests[-1][2]["range"].removeprefix("bytes=").partition("-")[0])
        part = data[first:]
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{len(data) - 1}/{len(data)}\r\nContent-Length: {len(part)}\r\n"
        )
        handler.wfile.write(head.encode() + b"Connection: close\r\n\r\n" + part)

    server = serve(http_pages({"/clip.mp4": page}))
    assert frames_of(f"http://127.0.0.1:{server.port}/clip.mp4") == list(range(50))


@pytest.mark.parametrize("part", ["header", "playlist"])
def test_server_that_sends_a_byte_now_and_then_does_not_get_more_time(part, serve):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if part == "header" else b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n")
        while True:
            handler.wfile.write(b"a")
            time.sleep(0.1)

    server = serve(http_pages({"/index.m3u8": drip}))
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        frames_of(f"http://127.0.0.1:{server.port}/index.m3u8", open_timeout_seconds=1.0)
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < 5


# Sizes


def mjpeg(images):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
    return lambda handler: handler.wfile.write(head + b"".join(part % (len(image), image) for image in images))


def test_huge_images_of_a_camera_are_dropped_and_counted_and_the_camera_goes_on(serve, tmp_path):
    small = write_image(tmp_path / "small.jpg", numbered_image(7)).read_bytes()
    Image.new("L", (16000, 16000), 90).save(tmp_path / "huge.jpg", quality=50)
    huge = (tmp_path / "huge.jpg").read_bytes()
    server = serve(http_pages({"/video": mjpeg([small] * 5 + [huge] * 3 + [small] * 5), "/huge": mjpeg([huge] * 3)}))
    outcome, frames, errors, grown = read_in_a_child(f"http://127.0.0.1:{server.port}/video")
    assert (outcome, frames, errors) == ("end", 10, 3)
    assert grown < 100
    assert read_in_a_child(f"http://127.0.0.1:{server.port}/huge")[:2] == ("refused", 0)


def test_the_limit_of_pixels_is_exact_and_a_source_of_larger_frames_is_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SMALL
        for image in [av.VideoFrame(*SMALL, "yuv420p")] * 3:
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    with open_source(str(path), source_id="door", max_pixels=64 * 64) as source:
        assert len(list(source)) == 3
    message = refusal_of(str(path), max_pixels=64 * 64 - 1)
    assert "its frames have 64x64 pixels, more than max_pixels=4095" in message


def test_image_of_a_camera_that_announces_a_huge_size_is_not_decoded(serve):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", 50_000, 50_000, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    outcome, frames, _, grown = read_in_a_child(f"http://127.0.0.1:{serve(http_pages({'/image.png': png})).port}/image.png")
    assert (outcome, frames) == ("unreachable", 0)
    assert grown < 50


def test_the_log_says_once_that_frames_are_too_large(serve, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    small, large = (write_image(tmp_path / f"{side}.png", numbered_image(7)[:side, :side]) for side in (32, 64))
    images = []
    for path in (small, large):
        Image.open(path).save(path.with_suffix(".jpg"))
        images.append(path.with_suffix(".jpg").read_bytes())
    server = serve(http_pages({"/video": mjpeg([images[0], *[images[1]] * 3, images[0]])}))
    with open_source(f"http://127.0.0.1:{server.port}/video", source_id="door", max_pixels=64 * 32) as source:
        assert len(list(source)) == 2
        assert source.tally.decode_errors == 3
    assert caplog.text.count("more pixels than max_pixels=2048") == 1


def test_frames_stretched_to_square_pixels_count_with_their_new_width(tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SMALL
        stream.codec_context.sample_aspect_ratio = 2
        for image in [av.VideoFrame(*SMALL, "yuv420p")] * 3:
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    with open_source(str(path), source_id="door", max_pixels=128 * 64) as source:
        assert [frame.image.shape for frame in source] == [(64, 128, 3)] * 3
    with pytest.raises(SourceError):
        open_source(str(path), source_id="door", max_pixels=128 * 64 - 1)


OK = b"HTTP/1.1 200 OK\r\n"
PART = OK + b"Content-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n--f\r\nContent-Type: image/jpeg\r\n"
FLOODS = {
    "part of two gigabytes": endlessly(PART + b"Content-Length: 2000000000\r\n\r\n"),
    "part without a length": endlessly(PART + b"\r\n", b"\xff\xd8" + bytes(1 << 16)),
    "playlist": endlessly(OK + b"\r\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n", b"#EXTINF:1,\na.ts\n" * 4096),
    "header": endlessly(OK, b"A: " + b"b" * 60000 + b"\r\n"),
    "line of a header": endlessly(OK + b"A: ", b"b" * 60000),
    "body of a redirect": endlessly(b"HTTP/1.1 302 Found\r\nLocation: /missing\r\n\r\n"),
    "body of an error": endlessly(b"HTTP/1.1 500 Error\r\n\r\n"),
    "negative chunk": endlessly(OK + b"Transfer-Encoding: chunked\r\n\r\n-fffff\r\n", b"-fffff\r\n" * 1000),
    "zeros": endlessly(OK + b"\r\n"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_of_http_end_within_a_limited_memory(flood, serve):
    server = serve(http_pages({"/video.m3u8": FLOODS[flood]}))
    started = time.monotonic()
    outcome, frames, _, grown = read_in_a_child(f"http://127.0.0.1:{server.port}/video.m3u8")
    assert frames == 0
    assert outcome != "end"
    assert time.monotonic() - started < 60
    assert grown < 200, f"{flood}: {grown} MB"


@pytest.mark.parametrize("start", [b"", b"#\r", b"#\0"])
def test_playlist_of_too_many_renditions_is_refused(start, serve):
    pages = {"/index.m3u8": b"#EXTM3U\n" + (start + b"#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n") * 101}
    server = serve(http_pages(pages))
    assert "more than 100 renditions" in refusal_of(f"http://127.0.0.1:{server.port}/index.m3u8")
    assert len(server.requests) == 1


@pytest.mark.parametrize("reload", [1, 3])
@pytest.mark.parametrize(
    "rendition", [b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="a.m3u8"\n', b"#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n"]
)
def test_renditions_in_a_live_playlist_of_segments_are_refused_and_do_not_end_the_process(rendition, reload, clip, serve, tmp_path):
    requests = itertools.count(1)

    def live(handler):
        number = next(requests)
        listed = b"".join(b"#EXTINF:0.1,\nindex0.ts?%d\n" % each for each in range(number, number + 3))
        head = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n" % number
        page = head + (rendition if number >= reload else b"") + listed
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(page) + page)

    server = serve(http_pages(segments_of(clip, tmp_path) | {"/live.m3u8": live}))
    assert read_in_a_child(f"http://127.0.0.1:{server.port}/live.m3u8")[0] == "refused"


def test_a_reader_stops_although_a_camera_sends_only_refused_frames(serve, tmp_path):
    small, large = (write_image(tmp_path / f"{side}.jpg", numbered_image(7)[:side, :side]).read_bytes() for side in (32, 64))

    def endless(handler):
        mjpeg([small])(handler)
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(large), large)
        while True:
            handler.wfile.write(part * 100)

    server = serve(http_pages({"/video": endless}))
    url = f"http://127.0.0.1:{server.port}/video"
    reader, _ = make_reader(SourceConfig(url=url, mode="live", max_pixels=64 * 32), "door")
    with reader:
        deadline = time.monotonic() + 60
        while reader.tally.decode_errors < 100:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert reader.stop(within(2.0))
    assert reader.state is ReaderState.STOPPED


def test_a_source_that_is_stopped_reads_no_other_packet_or_image(clip, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        write_image(folder / f"{number}.png", numbered_image(number))
    for url in (clip, folder):
        stopped = []
        with open_source(str(url), source_id="door", is_stopped=lambda stopped=stopped: bool(stopped)) as source:
            frames = iter(source)
            next(frames)
            next(frames)
            stopped.append(True)
            with pytest.raises(SourceError, match="it was stopped"):
                next(frames)

"""Options of sources: which stream, which decoder, whose password."""

import http.server
import threading

import av
import pytest
from numbered_clips import number_of, numbered_image, write_clip
from servers.raw_server import http_pages

from edge_hoi.config import SourceConfig
from edge_hoi.errors import SourceError
from edge_hoi.ingest import ReaderState, SourceReader, open_source
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.masking import mask
from edge_hoi.pipeline.build import make_reader

SIZES = [(160, 120), (640, 480), (320, 240)]


@pytest.fixture(scope="module")
def three_streams(tmp_path_factory):
    """Return a file with the same images as three video streams of different sizes."""
    path = tmp_path_factory.mktemp("clip") / "three.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options={"preset": "ultrafast"}) for _ in SIZES]
        for stream, (width, height) in zip(streams, SIZES, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24")
            for stream in streams:
                scaled = frame.reformat(width=stream.width, height=stream.height)
                scaled.pts = number
                container.mux(stream.encode(scaled))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (640, 480)),
        ({"least_size": (160, 120)}, (160, 120)),
        ({"least_size": (161, 120)}, (320, 240)),
        ({"least_size": (320, 241)}, (640, 480)),
        ({"least_size": (641, 480)}, (640, 480)),
        ({"video_stream": 0}, (160, 120)),
        ({"video_stream": 2, "least_size": (640, 480)}, (320, 240)),
    ],
)
def test_the_smallest_stream_that_is_large_enough_is_read_or_the_one_that_is_named(three_streams, options, size):
    with open_source(str(three_streams), source_id="door", **options) as source:
        frames = list(source)
        assert [(frame.width, frame.height) for frame in frames] == [size] * 5
        assert (source.info.width, source.info.height) == size
        assert not source.tally.is_truncated


def test_several_streams_are_said_once_unless_one_is_named(three_streams, caplog):
    for _ in range(2):
        open_source(str(three_streams), source_id="side door", least_size=(200, 100)).close()
    open_source(str(three_streams), source_id="back door", video_stream=1).close()
    assert [record.getMessage() for record in caplog.records] == [
        "side door: it has several video streams (0: 160x120, 1: 640x480, 2: 320x240); number 2 is used, `video_stream` chooses"
    ]


def test_a_stream_that_is_not_there_is_not_found(three_streams):
    with pytest.raises(SourceError, match="it has 3 video streams, none with number 3; set video_stream to one of them") as caught:
        open_source(str(three_streams), source_id="door", video_stream=3)
    assert caught.value.code == "not_found"


def test_a_cover_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 120, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered_image(1), format="rgb24")))
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        silence.planes[0].update(bytes(4096))
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
        for stream in (cover, sound):
            container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        if not container.streams.video[0].disposition & av.stream.Disposition.attached_pic:
            pytest.skip("this FFmpeg writes no covers")
    with pytest.raises(SourceError, match="it contains no video but a cover"):
        open_source(str(path), source_id="door")


@pytest.fixture(scope="module")
def clip_of_a_second(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "second.mp4", frames=25)


@pytest.mark.parametrize("decoder", ["auto", "cuda", "vaapi", "qsv", "videotoolbox"])
def test_a_decoder_that_does_not_work_here_is_replaced_by_software_which_is_said(clip_of_a_second, decoder, caplog):
    with open_source(str(clip_of_a_second), source_id="door", decoder=decoder) as source:
        assert [number_of(frame.image) for frame in source] == list(range(25))
        used = source.info.decoder
    if used == "cpu" and decoder != "auto":
        assert f"door: decoder {decoder} cannot be used here" in caplog.text
    else:
        assert used in ("cpu", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va")


PASSWORD = "C@nary/p%ss: 7"


def test_the_password_may_stand_apart_from_the_address_also_in_a_file_that_changes(clip_of_a_second, tmp_path):
    with FaultyCamera(clip_of_a_second, password=PASSWORD) as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/camera"
        with open_source(url, source_id="door", username="viewer", password=PASSWORD) as source:
            assert next(iter(source)).width == 160
            assert PASSWORD not in source.info.masked_url
        file = tmp_path / "password"
        file.write_text("wrong-canary-1\n")
        options = {"username": "viewer", "password_file": str(file)}
        with pytest.raises(SourceError) as caught:
            open_source(url, source_id="door", **options)
        assert caught.value.code == "unauthorized"
        assert str(caught.value).endswith(f"; correct them in username and password_file {file}.")
        file.write_text(PASSWORD + "\n")
        open_source(url, source_id="door", **options).close()
        assert mask(f"it was {PASSWORD}, and wrong-canary-1") == "it was ***, and ***"
        file.unlink()
        with pytest.raises(SourceError, match=r"its password_file .* cannot be read \(No such file or directory\)"):
            open_source(url, source_id="door", **options)


@pytest.mark.parametrize(
    ("user", "options", "place"),
    [
        ("viewer:wrong-1@", {}, "its URL; in a password there, write @ as %40, / as %2F and % as %25."),
        ("", {"username": "viewer", "password": "wrong-1"}, "username and password."),
        ("", {}, "its URL."),
    ],
    ids=["URL", "options", "none"],
)
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_refused_password_is_to_be_corrected_where_it_stands(clip_of_a_second, serve, scheme, user, options, place):
    def refuse(handler):
        handler.wfile.write(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')

    with FaultyCamera(clip_of_a_second, password=PASSWORD) as camera:
        port = camera.port if scheme == "rtsp" else serve(http_pages({"/camera": refuse})).port
        with pytest.raises(SourceError) as caught:
            open_source(f"{scheme}://{user}127.0.0.1:{port}/camera", source_id="door", **options)
    assert caught.value.code == "unauthorized"
    assert str(caught.value).endswith(f"the user name or the password was refused; correct them in {place}")


@pytest.mark.parametrize("url", ["rtsp://admin:pw@127.0.0.1/x", "clip.mp4", "/dev/video0"])
def test_a_password_apart_is_for_servers_without_their_own(url):
    with pytest.raises(SourceError, match="write one of them only") as caught:
        open_source(url, source_id="door", username="viewer", password="canary-9")
    assert "canary-9" not in str(caught.value)


def test_the_password_of_a_configuration_is_not_shown():
    source = SourceConfig(url="rtsp://camera/x", username="viewer", password="canary-10")
    assert "canary-10" not in repr(source)
    assert mask("canary-10") == "***"


def test_options_of_ffmpeg_are_limited_to_a_list():
    assert SourceConfig(url="x", ffmpeg_options={"probesize": 5000}).ffmpeg_options == {"probesize": 5000}
    with pytest.raises(ValueError, match="ffmpeg_options"):
        SourceConfig(url="x", ffmpeg_options={"protocol_whitelist": "file"})


# What ends by itself is not read again


def test_a_file_of_a_web_server_without_a_declared_duration_is_read_once(clip_of_a_second, tmp_path, serve):
    path = tmp_path / "clip.h264"
    with av.open(str(clip_of_a_second)) as source, av.open(str(path), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    server = serve(http_pages({"/clip.h264": path.read_bytes()}))
    reader, _ = make_reader(SourceConfig(url=f"http://127.0.0.1:{server.port}/clip.h264"), "door")
    with reader:
        frames = []
        while not reader.mailbox.is_finished:
            frames += filter(None, [reader.mailbox.get(60)])
    assert len(frames) == 25
    assert (reader.state, reader.info.is_live, reader.info.is_finite) == (ReaderState.ENDED, False, True)


def test_a_file_that_is_read_as_live_ends(clip_of_a_second):
    with SourceReader(lambda: open_source(str(clip_of_a_second), source_id="door", is_live=True), source_id="door") as reader:
        while not reader.mailbox.is_finished:
            reader.mailbox.get(60)
        assert (reader.state, reader.tally.frames_decoded) == (ReaderState.ENDED, 25)


def test_a_camera_that_announces_a_length_for_its_images_is_live(tmp_path):
    images = [bytes(packet) for packet in _jpegs()]

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.send_header("Content-Length", "99999999")
            self.end_headers()
            for image in images:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image))

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with open_source(f"http://127.0.0.1:{server.server_port}/video", source_id="door") as source:
        assert (source.info.is_live, source.info.is_finite) == (True, False)
    server.shutdown()
    server.server_close()


def _jpegs():
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 160, 120, "yuvj420p", 25
    for number in range(30):
        yield from encoder.encode(av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24").reformat(format="yuvj420p"))


@pytest.mark.parametrize("scheme", ["RTSP", "Rtsp"])
def test_schemes_may_be_in_capitals(clip_of_a_second, scheme):
    with FaultyCamera(clip_of_a_second) as camera, open_source(camera.url.replace("rtsp", scheme, 1), source_id="door") as source:
        assert source.info.is_live


def test_schemes_of_files_may_be_in_capitals(clip_of_a_second):
    with open_source(f"FILE://{clip_of_a_second}", source_id="door") as source:
        assert not source.info.is_live

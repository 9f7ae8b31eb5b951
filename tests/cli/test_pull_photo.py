"""`models pull photo`, and commands that need it: its detector comes from a real server, and its engine is built."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from servers.ranges import RangeServer
from small_disk import mounted

from edge_hoi.cli import doctor
from edge_hoi.config import cache_folder
from edge_hoi.errors import EdgeHoiError
from edge_hoi.hub import known_model
from edge_hoi.pipeline import photo_engine
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import read_manifest, write_manifest

NAME = "deimv2_hgnetv2_femto_coco.onnx"


@pytest.fixture(scope="module")
def detector(shared_data):
    file = shared_data / "detector" / NAME
    if not file.is_file():
        pytest.skip(f"no detector: put {NAME} of its publisher into {file.parent}")
    return file


@pytest.fixture
def publisher(detector):
    server = RangeServer(detector.read_bytes(), path=f"/{NAME}")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, publisher):
    """Give the folder of the cache, which is empty; a mirror is set, and nothing forbids to fetch."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGE_HOI_MIRROR", publisher.url.rpartition("/")[0])
    for name in ("EDGE_HOI_ENGINE", "EDGE_HOI_OFFLINE"):
        monkeypatch.delenv(name)
    return tmp_path / "cache" / "edge-hoi" / "photo"


@pytest.fixture
def pull(edge_hoi):
    return lambda *options: edge_hoi("models", "pull", "photo", *options)


@pytest.fixture(scope="module")
def built(detector, tmp_path_factory):
    """Build the engine once; give the cache."""
    cache = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        photo_engine.bring_detector(detector)
    return cache


@pytest.fixture
def engine_is_there(built, home):
    """Put the engine into the cache, as an earlier command would."""
    shutil.copytree(built / "edge-hoi", home.parent)


@pytest.fixture
def copies_for_builds(built, monkeypatch):
    """Copy the engine that was built once, in place of building it again, which takes seconds."""
    import edge_hoi.photo

    def copy(options, output):
        assert options.detector.stat().st_size == known_model("photo-femto").size_bytes
        (folder,) = (built / "edge-hoi" / "photo").glob("femto-*")
        shutil.copytree(folder, output)
        write_manifest(output, read_manifest(output).model_copy(update={"name": options.name}))

    monkeypatch.setattr(edge_hoi.photo, "build_photo_engine", copy)


def engines_in(home):
    return [path.name for path in home.glob("*-*") if path.is_dir()]


def test_pull_fetches_verifies_and_builds_and_says_so(pull, publisher, home):
    code, shown = pull("--detector", "femto")
    assert code == 0, shown
    (folder,) = engines_in(home)
    assert f"note: fetching the detector of engine photo-femto (4.1 MB, licence Apache-2.0, {known_model('photo-femto').page})" in shown
    assert f"note: building engine photo-femto in {home / folder}" in shown
    assert f"{home / folder}: engine photo-femto" in shown
    assert read_manifest(home / folder).name == "photo-femto"
    assert engine_folder("photo") == engine_folder("photo-femto") == home / folder
    assert sorted(path.name for path in home.iterdir()) == sorted([".lock", NAME, "detector", folder])
    assert publisher.ranges == [None]
    assert pull()[0] == 0
    assert publisher.ranges == [None]


@pytest.mark.usefixtures("copies_for_builds")
def test_a_killed_pull_is_resumed_by_the_next(pull, publisher, home, wait_for):
    publisher.stall_after = 3_000_000
    part = home / f"{NAME}.part"
    killed = subprocess.Popen([sys.executable, "-m", "edge_hoi.cli", "models", "pull", "photo", "--detector", "femto"])
    wait_for(lambda: part.exists() and part.stat().st_size > 2_500_000)
    killed.kill()
    killed.wait()
    kept = part.stat().st_size
    assert engines_in(home) == []
    publisher.stall_after = None
    code, shown = pull("--detector", "femto")
    assert code == 0, shown
    assert publisher.ranges == [None, f"bytes={kept}-"]
    assert not part.exists()


def test_what_is_not_the_published_file_is_not_built(pull, publisher, home):
    publisher.content = publisher.content[:-1] + b"?"
    code, shown = pull("--detector", "femto")
    assert code == 8
    assert "expected sha256 c6ad358f" in shown
    assert "it was replaced or damaged; deleted; on a machine with a network run `curl -fLO https://raw.githubusercontent.com/" in shown
    assert [path.name for path in home.iterdir()] == [".lock"]


def test_a_missing_file_is_explained_with_how_to_bring_it(pull, publisher):
    publisher.status = 404
    code, shown = pull("--detector", "femto")
    assert code == 8
    assert "HTTP status 404 (Not Found)" in shown
    assert f"bring the file, and run `edge-hoi models pull photo --from {NAME}` here" in shown


@pytest.mark.usefixtures("copies_for_builds")
def test_the_publisher_is_asked_through_a_proxy_where_there_is_no_mirror(pull, publisher, monkeypatch):
    monkeypatch.delenv("EDGE_HOI_MIRROR")
    monkeypatch.setattr(photo_engine, "photo_detectors", lambda: (moved(known_model("photo-femto"), f"http://publisher.invalid/{NAME}"),))
    monkeypatch.setenv("HTTP_PROXY", publisher.url.rpartition("/")[0])
    assert pull("--detector", "femto")[0] == 0
    assert publisher.asked == [f"http://publisher.invalid/{NAME}"]


def moved(model, file, **changes):
    return model.model_copy(update={"file": file, **changes})


@pytest.mark.parametrize("size", ["3m", "6m"], ids=["for the detector", "for the engine"])
def test_a_disk_without_room_is_explained(pull, tmp_path, monkeypatch, size):
    with mounted(tmp_path / "disk", size) as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk.folder))
        code, shown = pull("--detector", "femto")
        assert code == 8, shown
        assert "No space left on device" in shown
        assert "free some space" in shown
        assert "Traceback" not in shown
        assert engines_in(disk.folder / "edge-hoi" / "photo") == []


def test_a_disk_without_room_for_a_brought_file_is_named_and_not_the_file(pull, detector, tmp_path, monkeypatch):
    with mounted(tmp_path / "disk", "3m") as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk.folder))
        code, shown = pull("--from", detector)
        home = disk.folder / "edge-hoi" / "photo"
        assert code == 8, shown
        assert f"cannot write {home}: No space left on device; free some space, or set XDG_CACHE_HOME" in shown
        assert [path.name for path in home.iterdir()] == [".lock"]


def remount_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def test_an_engine_in_a_cache_that_can_only_be_read_is_used(built, publisher, tmp_path, monkeypatch):
    with mounted(tmp_path / "disk", "40m") as disk:
        shutil.copytree(built, disk.folder, dirs_exist_ok=True)
        remount_read_only(disk.folder)
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk.folder))
        assert photo_engine.obtain_photo_engine().is_relative_to(disk.folder)
    assert publisher.ranges == []


@pytest.mark.usefixtures("copies_for_builds")
def test_an_empty_cache_that_can_only_be_read_is_refused_by_pull_and_replaced_by_others(pull, tmp_path, monkeypatch):
    with mounted(tmp_path / "disk", "1m") as disk:
        remount_read_only(disk.folder)
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk.folder))
        code, shown = pull("--detector", "femto")
        assert code == 8
        assert f"the cache {disk.folder / 'edge-hoi'} cannot be written; set XDG_CACHE_HOME to a folder that can" in shown
        folder = photo_engine.obtain_photo_engine("photo-femto")
        assert folder.is_relative_to(cache_folder())
        assert not folder.is_relative_to(disk.folder)


@pytest.mark.usefixtures("copies_for_builds")
def test_a_file_fetched_elsewhere_is_brought(pull, detector, publisher, home):
    code, shown = pull("--from", detector)
    assert code == 0, shown
    assert engine_folder("photo").parent == home
    assert publisher.ranges == []


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ((), "is not deimv2_hgnetv2_n_coco.onnx, deimv2_hgnetv2_pico_coco.onnx, deimv2_hgnetv2_femto_coco.onnx as published"),
        (("--detector", "n"), "is not deimv2_hgnetv2_n_coco.onnx as published"),
    ],
)
def test_another_file_is_not_brought(pull, tmp_path, home, option, expected):
    (tmp_path / NAME).write_bytes(b"something else")
    code, shown = pull("--from", tmp_path / NAME, *option)
    assert code == 8
    assert expected in shown
    assert "`edge-hoi build --detector FILE`" in shown
    assert not home.exists()


def test_a_pipe_and_an_endless_file_are_not_brought(pull, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    assert "no regular file" in pull("--from", tmp_path / "pipe")[1]
    assert "larger than any known detector" in pull("--from", tmp_path / "large")[1]
    assert "No such file" in pull("--from", tmp_path / "nothing")[1]


def test_two_processes_at_once_fetch_once(publisher, home):
    command = [sys.executable, "-m", "edge_hoi.cli", "models", "pull", "photo", "--detector", "femto"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    shown = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], shown
    assert publisher.ranges == [None]
    assert len(engines_in(home)) == 1


@pytest.mark.usefixtures("engine_is_there", "copies_for_builds")
def test_a_new_version_builds_the_engine_anew_without_a_network(home, publisher, monkeypatch):
    (old,) = engines_in(home)
    monkeypatch.setattr(photo_engine, "_package_key", lambda: "another version")
    with pytest.raises(EdgeHoiError, match="not built here yet, or by another version; run `edge-hoi models pull photo`"):
        engine_folder("photo")
    new = photo_engine.obtain_photo_engine(may_fetch=False)
    assert sorted(engines_in(home)) == sorted([old, new.name])  # the old one may be running
    assert publisher.ranges == []


@pytest.mark.usefixtures("engine_is_there")
@pytest.mark.parametrize("damaged", ["model.onnx", "manifest.json"])
def test_a_damaged_engine_is_built_anew(home, damaged):
    (folder,) = engines_in(home)
    (home / folder / damaged).write_bytes(b"{")
    assert photo_engine.find_photo_engine() is None
    assert read_manifest(photo_engine.obtain_photo_engine(may_fetch=False)).name == "photo-femto"


@pytest.mark.usefixtures("engine_is_there", "copies_for_builds")
def test_a_damaged_detector_is_fetched_again(home, publisher):
    shutil.rmtree(home / engines_in(home)[0])
    (home / NAME).write_bytes(b"damaged")
    photo_engine.obtain_photo_engine()
    assert publisher.ranges == [None]


class TestChoice:
    """The most accurate detector that is fast enough; all three are the same file here, and their rates are given."""

    @pytest.fixture(autouse=True)
    def _three_of_one_file(self, monkeypatch, copies_for_builds):
        femto = known_model("photo-femto")
        self.detectors = [
            moved(femto, femto.file, name=name, gflops=gflops)
            for name, gflops in (("photo-n", 8.0), ("photo-pico", 4.0), ("photo-femto", 1.0))
        ]
        monkeypatch.setattr(photo_engine, "photo_detectors", lambda: tuple(self.detectors))
        self.built, self.rates, self.notes = [], {}, []

        def rate(folder):
            self.built.append(read_manifest(folder).name)
            return self.rates[self.built[-1]]

        monkeypatch.setattr(photo_engine, "frames_per_second", rate)

    def choose(self, **rates):
        self.rates = {f"photo-{name}": rate for name, rate in rates.items()}
        return read_manifest(photo_engine.obtain_photo_engine(fps=10.0, note=self.notes.append)).name

    def test_the_most_accurate_is_taken_where_it_reaches_the_rate(self):
        assert self.choose(femto=80.0, n=10.0) == "photo-n"
        assert self.built == ["photo-femto", "photo-n"]
        assert "chosen: photo-n, which runs 10.0 frames/s here" in self.notes
        assert engine_folder("photo") == engine_folder("photo-n")

    def test_one_that_is_slower_than_expected_is_not_taken(self):
        assert self.choose(femto=80.0, n=9.9, pico=10.1) == "photo-pico"
        assert "photo-n runs 9.9 frames/s here, fewer than 10: not taken" in self.notes

    def test_one_that_cannot_be_fast_enough_is_not_even_built(self):
        assert self.choose(femto=39.9) == "photo-femto"
        assert self.built == ["photo-femto"]
        assert "photo-pico would run about 10.0 frames/s here, fewer than 10: not tried" in self.notes

    def test_one_that_cannot_be_fetched_is_left_out(self, publisher):
        self.detectors[0] = moved(self.detectors[0], "https://publisher.invalid/missing.onnx")
        assert self.choose(femto=80.0, pico=20.0) == "photo-pico"
        assert any(note.startswith("photo-n is left out: ") and "HTTP status 404" in note for note in self.notes)

    def test_without_a_network_what_was_brought_is_taken_unmeasured(self, detector):
        photo_engine.bring_detector(detector, "photo-femto")
        assert read_manifest(photo_engine.obtain_photo_engine(may_fetch=False)).name == "photo-femto"
        assert self.built == []


def test_the_rate_of_an_engine_is_that_of_its_median_run(built, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(built))
    assert 0.1 < photo_engine.frames_per_second(photo_engine.find_photo_engine()) < 10_000


@pytest.mark.parametrize(
    ("command", "how"),
    [("run", "option"), ("run", "environment"), ("run", "configuration"), ("detect", "option"), ("detect", "environment")],
)
def test_offline_nothing_is_fetched_and_the_one_command_and_the_file_are_named(
    edge_hoi, publisher, short_clip, tmp_path, monkeypatch, command, how
):
    arguments = ["run", "--source", short_clip] if command == "run" else ["detect", short_clip]
    if how == "option":
        arguments.append("--offline")
    elif how == "environment":
        monkeypatch.setenv("EDGE_HOI_OFFLINE", "1")
    else:
        (tmp_path / "run.yaml").write_text(f"sources: [{short_clip}]\nengine: {{offline: true}}")
        arguments = ["run", tmp_path / "run.yaml"]
    code, shown = edge_hoi(*arguments)
    assert code == 8
    (line,) = shown.splitlines()
    assert line == (
        "error: engine photo-femto is not on this machine, and --offline or EDGE_HOI_OFFLINE forbids to fetch it; on a machine with a "
        f"network run `curl -fLO {known_model('photo-femto').file}`, bring the file, and run `edge-hoi models pull photo --from {NAME}` "
        "here"
    )
    assert publisher.ranges == []


def test_nothing_is_fetched_for_a_file_that_is_missing(edge_hoi, publisher):
    code, shown = edge_hoi("run", "--source", "missing.mp4")
    assert code == 3
    assert "Cannot read missing.mp4: there is no such file" in shown
    assert edge_hoi("detect", "missing.mp4")[0] == 3
    assert publisher.ranges == []


def test_the_first_run_on_a_real_video_fetches_the_engine_and_says_why(edge_hoi, publisher, short_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(photo_engine, "frames_per_second", lambda folder: 1.0)
    code, shown = edge_hoi("run", "--source", short_clip, "--max-frames", 3, "--events", tmp_path / "events.jsonl")
    assert code == 0, shown
    assert "note: no engine is named: getting `photo`, which is for real video; --engine names another, --offline forbids to fetch" in shown
    assert "note: fetching the detector of engine photo-femto" in shown
    assert "note: chosen: photo-femto" in shown
    assert "3 frames" in shown
    code, shown = edge_hoi("detect", short_clip, "--max-frames", 1)
    assert code == 0
    assert json.loads(shown.splitlines()[-1])["frame"] == 0
    assert "no engine is named" not in shown
    assert len(publisher.ranges) == 1


@pytest.mark.usefixtures("engine_is_there")
def test_python_uses_the_same_engine(publisher, short_clip):
    import edge_hoi

    with edge_hoi.Detector() as detector:
        assert repr(detector).startswith("Detector('photo-femto'")
    with edge_hoi.stream(short_clip) as stream:
        assert "photo-femto" in repr(stream._builder.manifest)
    with edge_hoi.stream(edge_hoi.DEMO_CLIP) as stream:
        assert stream._builder.manifest.name == "default"
    assert publisher.ranges == []


@pytest.mark.usefixtures("engine_is_there")
def test_every_command_knows_the_names():
    for name in ("photo", "photo-femto"):
        assert read_manifest(engine_folder(name)).name == "photo-femto"
    with pytest.raises(EdgeHoiError, match=r"photo-n is not built here yet.*`edge-hoi models pull photo-n`"):
        engine_folder("photo-n")


def test_a_detector_of_another_name_is_refused(pull):
    code, shown = pull("--detector", "fento")
    assert code == 2
    assert "unknown model 'photo-fento'; did you mean 'photo-femto'?" in shown


@pytest.mark.parametrize("option", [("--folder", "x"), ("--url", "x"), ("--sha256", "x"), ("--allow-unverified",)])
def test_options_of_other_weights_are_refused(pull, option):
    code, shown = pull(*option)
    assert code == 2
    assert f"{option[0]} cannot be used with photo; it is kept in the cache, which XDG_CACHE_HOME moves" in shown


def test_doctor_says_whether_the_engine_is_there(built, home):
    assert doctor._photo_engine() == doctor.Finding(
        "engines", "photo", "missing", "for real video; fetched by the first run that needs it", "edge-hoi models pull photo"
    )
    shutil.copytree(built / "edge-hoi", home.parent)
    finding = doctor._photo_engine()
    assert finding.status == "ok"
    assert finding.detail == f"photo-femto on openvino, fp32, in {photo_engine.find_photo_engine()}"

"""Configuration: examples, refusals, relative paths and variables."""

import itertools
import os
import re
import time
import traceback
from pathlib import Path

import pytest
import yaml
from busy_machine import within

from edge_hoi.config import RunConfig, cache_folder, load_config, parse_config
from edge_hoi.errors import ConfigError
from edge_hoi.vocabulary import load_vocabulary

EXAMPLES = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
CONFIGURATIONS = [path for path in EXAMPLES if path.name != "people-and-objects.yaml"]


@pytest.fixture(autouse=True)
def secrets_of_the_examples(monkeypatch):
    for name in {name for path in EXAMPLES for name in re.findall(r"\$\{(\w+)\}", path.read_text()) if name != "NAME"}:
        monkeypatch.setenv(name, "secret")


def write(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_every_example_loads(path):
    config = load_config(path)
    assert isinstance(config, RunConfig)
    assert bool(config.sources) == (path.name != "default.yaml")


def test_there_are_examples_for_one_camera_several_files_and_defaults():
    assert {path.name for path in CONFIGURATIONS} >= {"default.yaml", "one-camera.yaml", "several-cameras.yaml", "folder-of-files.yaml"}


def test_the_default_example_names_every_setting_with_its_default(repository):
    path = repository / "configs" / "default.yaml"
    assert load_config(path) == RunConfig()
    written = yaml.safe_load(path.read_text())
    complete = RunConfig().model_dump(mode="json")
    assert written.keys() == complete.keys()
    for section in ("engine", "detection", "tracking", "episodes", "outbox"):
        assert written[section].keys() == complete[section].keys()


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_the_verbs_of_every_example_are_in_its_vocabularies(path):
    config = load_config(path)
    names = {source.vocabulary or config.vocabulary or "hico_det" for source in config.sources}
    verbs = {verb for name in names for verb in load_vocabulary(name).verbs}
    assert verbs.issuperset([*config.episodes.verbs, *sum(config.episodes.exclusive_groups, ())])


def test_the_example_vocabulary_loads_and_is_found_beside_the_example(repository):
    config = load_config(repository / "configs" / "one-camera.yaml")
    assert len(load_vocabulary(config.vocabulary)) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sits: home", "sits: unknown key; did you mean 'site'?"),
        ("sources: [{ulr: a.mp4}]", "sources[0].ulr: unknown key; did you mean 'url'?"),
        ("engine: {devise: cpu}", "engine.devise: unknown key; did you mean 'device'?"),
        ("tracking: {min_iuo: 0.1}", "tracking.min_iuo: unknown key; did you mean 'min_iou'?"),
        ("episodes: {patience: 3}", "episodes.patience: unknown key; did you mean 'patience_seconds'?"),
        ("episodes: {verbs: {ride: {entre: 0.7}}}", "episodes.verbs.ride.entre: unknown key; did you mean 'enter'?"),
        ("sinks: [{type: jsonl, pth: a}]", "sinks[0].pth: unknown key; did you mean 'path'?"),
        (
            "sinks: [{type: jsonl, path: a, retry: {max_refusal: 3}}]",
            "sinks[0].retry.max_refusal: unknown key; did you mean 'max_refusals'?",
        ),
        ("outbox: {pat: a}", "outbox.pat: unknown key; did you mean 'path'?"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest_known_one(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert expected in str(caught.value)
    assert str(tmp_path / "config.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_frames: 0", "max_frames: Input should be greater than or equal to 1"),
        ("detection: {score_threshold: 2}", "detection.score_threshold"),
        ("episodes: {enter: 0.3, leave: 0.5}", "`leave` is at most `enter`"),
        ("sources: [{url: a.mp4, id: x}, {url: b.mp4, id: x}]", "two sources have the name 'x'; give each its own `id`"),
        ("sources: [{url: a.mp4, id: 'no spaces'}]", "sources[0].id"),
        ("sources: [{url: a.mp4, recorded_at: 2026-01-01T00:00:00}]", "timezone"),
        ("sinks: [{path: a}]", "sinks[0]: a sink is a mapping with a `type`, such as `{type: jsonl, path: events.jsonl}`: one of"),
        ("sinks: [{type: json, path: a}]", "sinks[0]: a sink's type is one of jsonl"),
        ("sinks: [{type: json, path: a}]", "did you mean 'jsonl'?"),
        ("sinks: [{type: jsonl, path: a}, {type: jsonl, path: b}]", "two sinks have the name 'jsonl'; give each its own `name`"),
        ("sinks: [{type: jsonl, path: a, batch_size: 0}]", "sinks[0].batch_size: Input should be greater than or equal to 1"),
        ("sinks: [{type: 1, path: a}]", "sinks[0]: a sink is a mapping with a `type`"),
        ("sinks: [jsonl]", "sinks[0]: a sink is a mapping with a `type`"),
        ("sinks: jsonl", "sinks: expected a list in brackets or in lines that begin with `- `, got a text"),
        ("sinks: {type: jsonl, path: a}", "sinks: expected a list in brackets or in lines that begin with `- `, got a mapping"),
        ("detection: 3", "detection: expected a mapping (keys: max_interactions, score_threshold, tiles), got a number"),
        ("engine: default", "engine: expected a mapping (keys: allow_demo, backend, "),
        ("episodes: {verbs: 3}", "episodes.verbs: expected a mapping, got a number"),
        ("engine: {requests: many}", "engine.requests: Input should be a valid integer"),
        (
            "vocabulary: 3",
            "vocabulary: expected hico_det, vcoco, a YAML file, or a list of phrases such as `[person riding bicycle]`, got a number",
        ),
        ("vocabulary: [[a]]", "a list of phrases such as `[person riding bicycle]`, got a list with a list"),
        ("vocabulary: ''", "a list of phrases such as `[person riding bicycle]`, got nothing"),
        ("sources: [{url: a, vocabulary: {verb: ride}}]", "sources[0].vocabulary: expected hico_det, vcoco, a YAML file"),
        ("- a\n- b", "a configuration is a list of `key: value` lines"),
        ("site: [", "is not YAML"),
        ("site: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("site: ${EDGE_HOI_NO_SUCH_VARIABLE}", "export EDGE_HOI_NO_SUCH_VARIABLE="),
    ],
)
def test_an_invalid_value_is_refused_with_a_clear_message(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert expected in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no-such\.yaml: cannot be read"):
        load_config(tmp_path / "no-such.yaml")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "config.yaml"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read \((no regular file|Is a directory).*; is it the right file\?"):
        load_config(path)


def _nested(line, count):
    """Lines of which each repeats the one before nine times, by an alias."""
    names = [f"k{number}" for number in range(count + 1)]
    return "\n".join(["k0: &k0 {x: 1}", *(line.format(new=new, nine=", ".join([f"*{old}"] * 9)) for old, new in itertools.pairwise(names))])


@pytest.mark.parametrize("line", ["{new}: &{new} [{nine}]", "{new}: &{new} {{<<: [{nine}]}}"])
def test_aliases_that_expand_to_billions_are_refused_at_once(tmp_path, line):
    with pytest.raises(ConfigError, match=r"the value in line 6 has more than 100000 values, with those that aliases \(\*name\) repeat$"):
        load_config(write(tmp_path, _nested(line, 9)))


@pytest.mark.parametrize(("values", "fault"), [(100_000, r"got a list"), (100_001, r"line 1 has more than 100000 values")])
def test_a_configuration_has_at_most_a_hundred_thousand_values(tmp_path, values, fault):
    text = f"[&a [{'x, ' * 99}], {'*a, ' * 998}{'x, ' * (values - 99_901)}]"
    with pytest.raises(ConfigError, match=fault):
        load_config(write(tmp_path, text))


@pytest.mark.parametrize("text", ["site: &a [*a]", "site: &a {b: *a}", "site: [&a [[*a]]]", "site: &a {<<: *a}"])
def test_a_value_that_contains_itself_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=r"the value in line 1 contains itself by an alias \(\*name\); write it out"):
        load_config(write(tmp_path, text))


def test_aliases_and_merged_mappings_are_read(tmp_path):
    text = "sources: [&yard {url: rtsp://a/1, id: one, target_fps: 5}, {<<: *yard, url: rtsp://a/2, id: two}]"
    config = load_config(write(tmp_path, text))
    assert [(source.url, source.target_fps) for source in config.sources] == [("rtsp://a/1", 5), ("rtsp://a/2", 5)]


@pytest.mark.parametrize("form", ["{0}", "a: {0}"])
@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_no_depth_is_a_traceback(tmp_path, form, opening):
    closing = {"[": "]", "{a: ": "}"}[opening]
    for depth in (1, 50, *range(90, 501, 41)):
        with pytest.raises(ConfigError):
            load_config(write(tmp_path, form.format(opening * depth + closing * depth)))


@pytest.mark.parametrize(
    "value", ["2026-13-01", "!!int canary", "!!int ''", "!!float canary", "!!bool canary", "!!timestamp canary", "9" * 5000]
)
def test_a_value_that_is_not_of_its_type_is_refused_with_its_line(tmp_path, value):
    with pytest.raises(ConfigError, match=r"config\.yaml: the value in line 2 is not of the type that its form or tag says"):
        load_config(write(tmp_path, f"max_frames: 3\nsite: {value}"))


def test_a_password_never_shows_in_a_refusal(tmp_path):
    text = "sources: [{url: 'rtsp://user:canary/%@host/stream', rtsp_transport: carrier-pigeon, id: 'rtsp://u:canary@h'}]"
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert "canary" not in str(caught.value)


def test_relative_paths_are_relative_to_the_file_and_names_stay_names(tmp_path):
    text = "sources: [{url: videos/a.mp4}, {url: /dev/video0}, {url: 'rtsp://h/s'}]\nvocabulary: mine.yaml\nengine: {path: default}"
    text += "\nsinks: [{type: jsonl, path: '-'}, {type: jsonl, name: b, path: b.jsonl}]\noutbox: {path: o.sqlite}"
    config = load_config(write(tmp_path, text))
    assert [source.url for source in config.sources] == [str(tmp_path / "videos/a.mp4"), "/dev/video0", "rtsp://h/s"]
    assert config.vocabulary == str(tmp_path / "mine.yaml")
    assert config.engine.path == "default"
    assert [sink.path for sink in config.sinks] == ["-", str(tmp_path / "b.jsonl")]
    assert config.outbox.path == str(tmp_path / "o.sqlite")


def test_variables_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HOI_TEST_PASSWORD", "a/b@c%d")
    config = load_config(write(tmp_path, "sources: [{url: 'rtsp://u:${EDGE_HOI_TEST_PASSWORD}@h/s'}]"))
    assert config.sources[0].url == "rtsp://u:a/b@c%d@h/s"


@pytest.mark.parametrize(
    ("key", "near"), [("source", "sources"), ("vocab", "vocabulary"), ("max_frame", "max_frames"), ("detector", "detection")]
)
def test_a_misspelt_key_is_answered_with_the_one_meant(key, near):
    with pytest.raises(ConfigError, match=f"{key}: unknown key; did you mean '{near}'\\?"):
        parse_config({key: 1}, origin="here")


@pytest.mark.parametrize("key", ["zones", "cameras", "regions", "mqtt", "polygon"])
def test_a_key_that_is_near_to_none_is_answered_with_the_known_ones(key):
    with pytest.raises(ConfigError, match=f"{key}: unknown key; known here: annotate, .*sources, .*vocabulary$"):
        parse_config({key: 1}, origin="here")


def test_file_names_that_are_not_utf8_are_accepted():
    config = parse_config({"sources": [{"url": "clip-\udce9.mp4"}], "annotate": {"path": "\udce9.mp4"}}, origin="here")
    assert (config.sources[0].url, config.annotate.path) == ("clip-\udce9.mp4", "\udce9.mp4")


@pytest.mark.parametrize(("url", "fault"), [(3, "should be a valid string"), ("", "should have at least 1 character")])
def test_a_location_is_a_text(url, fault):
    with pytest.raises(ConfigError, match=rf"sources\[0\].url: String {fault}|sources\[0\].url: Input {fault}"):
        parse_config({"sources": [{"url": url}]}, origin="here")


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "edge-hoi"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "edge-hoi"
    assert list(tmp_path.iterdir()) == []  # asking creates nothing


def test_a_user_without_a_home_folder_caches_in_a_temporary_one(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)  # which no passwd entry has
    assert cache_folder().is_dir()
    assert cache_folder().is_absolute()


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_one_with_one_note(monkeypatch, caplog, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    first, again = cache_folder(), cache_folder()
    assert first == again
    assert first.is_dir()
    assert [record.getMessage() for record in caplog.records] == [
        f"the cache {tmp_path}/file/edge-hoi cannot be written: using a temporary one; set XDG_CACHE_HOME to a writable folder to keep it"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [a.mp4]\nsite: x\nsources: [b.mp4]\n", "the key 'sources' stands in lines 1 and 3; keep one"),
        ("engine:\n  path: a\n  device: cpu\n  path: b\n", "the key 'path' stands in lines 2 and 4; keep one"),
        ("engine: {path: a, path: b}\n", "the key 'path' stands in lines 1 and 1; keep one"),
        ("sources: [{url: a.mp4, id: a, url: b.mp4}]\n", "the key 'url' stands in lines 1 and 1; keep one"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path, text, message):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


@pytest.mark.parametrize("text", ["sources: a.mp4", "sources: [a.mp4]", "sources: {url: a.mp4}", "sources: [{url: a.mp4}]"])
def test_an_address_alone_is_a_source(tmp_path, text):
    path = tmp_path / "short.yaml"
    path.write_text(text)
    assert [source.url for source in load_config(path).sources] == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: 3", "expected a list of sources, got a number; write `sources: "),
        ("sources: {door: a.mp4}", "expected a list of sources, got a mapping; write `sources: "),
        ("sources: [a.mp4, [b.mp4]]", "entry 2 is a list; write `sources: "),
        ("sources: [a.mp4, ]\n", None),
        ("sources:\n  -\n", "entry 1 is nothing; write `sources: "),
    ],
)
def test_other_forms_of_sources_are_answered_in_the_words_of_yaml(tmp_path, text, message):
    path = tmp_path / "form.yaml"
    path.write_text(text)
    if message is None:
        assert len(load_config(path).sources) == 1
        return
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path)


SECRET_TEXTS = [
    "sources: [{url: 'rtsp://u:canary@h/s', rtsp_transport: canary}]",
    "sources: ['rtsp://u:canary@h/s', 3]",
    "sources: [{url: ['rtsp://u:canary@h/s']}]",
    "sources: [{url: a.mp4, mode: 'rtsp://u:canary@h/s'}]",
    "site: 'canary canary'",
    "engine: 'rtsp://u:canary@h/s'",
    "engine: {path: ['canary']}",
    "detection: {score_threshold: canary}",
    "tracking: {min_iou: canary}",
    "episodes: {enter: canary, verbs: {ride: {leave: canary}}}",
    "outbox: {path: 1, max_age_days: canary}",
    "annotate: {path: ['canary']}",
    "sinks: [{type: jsonl, path: ['canary']}]",
    "sinks: [{type: webhook, url: 'https://u:canary@h', secret: ['canary']}]",
    "sinks: [{type: webhook, url: 'ftp://u:canary@h'}]",
    "sinks: [{type: mqtt, url: 'mqtt://u:canary@h', qos: canary}]",
    "sinks: [{type: mqtt, url: ['canary'], password: ['canary']}]",
    "sinks: [{type: kafka, servers: [canary], password: ['canary']}]",
    "sinks: [{type: redis, url: 'http://u:canary@h'}]",
    "sinks: canary",
]


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_secret_shows_neither_in_a_refusal_nor_in_the_errors_behind_it(tmp_path, text):
    """A traceback shows every chained error, and so may a log."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    lines = traceback.format_exception(type(caught.value), caught.value, None)  # without the lines of this test
    chained, error = [], caught.value
    while error is not None:
        chained.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    assert len(chained) > 1
    assert "canary" not in "".join(lines)
    assert "canary" not in "".join(chained)


@pytest.mark.parametrize(
    "text",
    [
        "sources: ['rtsp://u:canary@h/s'\nsite: x",
        "sources: [rtsp://u:canary@h/s, ]]",
        "site: 'canary",
        "site: *canary",
        "site: !canary x",
        "site: @canary",
        "site: %canary",
        "site: !!int canary",
        "site: canary: canary",
        "site: canary\0",
        "site: canary\t- \udcff",
        "- canary\n---\n- canary",
    ],
)
def test_a_secret_does_not_show_where_the_file_is_not_yaml(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"config\.yaml: (is not YAML|the value in line 1 is not of the type)") as caught:
        load_config(path)
    chained, error = [], caught.value
    while error is not None:
        chained.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    assert "canary" not in "".join(chained)


@pytest.mark.parametrize(("count", "last"), [(20, "config.yaml:20: key19: unknown key"), (21, "config.yaml: and 1 more")])
def test_the_first_twenty_errors_are_told(tmp_path, count, last):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "\n".join(f"key{number}: 1" for number in range(count))))
    lines = str(caught.value).splitlines()
    assert len(lines) == count
    assert last in lines[-1]


def test_an_error_names_the_line_of_its_value(tmp_path):
    text = """
        sources:
          - url: a.mp4
            zones:
              yard: [[0, 0], [1, 1],
                [1, 0], [0, 1]]
          - url: b.mp4
            lines: {kerb: {points: [[0, 0], [1, 1]], margn: 1}}
    """
    with pytest.raises(ConfigError, match=r"config\.yaml:8: sources\[1\].lines.kerb.margn: unknown key; did you mean 'margin'\?$"):
        load_config(write(tmp_path, text))
    with pytest.raises(ConfigError, match=r"config\.yaml:5: sources\[0\].zones.yard: the border crosses itself; give the corners"):
        load_config(write(tmp_path, text.replace("margn: 1", "margin: 0.1")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("media: {path: media, clips: {}, snapshots: {blur: others}}", "media: clips are not encoded again, so nobody can be made"),
        ("sources: [{url: a.mp4, memory_limit: 512MB}]\nmedia: {path: media, clips: {}}", "clips need the packets of a source, which with"),
        ("media: {path: media, snapshots: {format: png}}", "media.snapshots.format: Input should be 'jpeg' or 'webp'"),
        ("media: {clips: {}}", "media.path: Field required"),
    ],
    ids=["blur", "memory_limit", "format", "path"],
)
def test_settings_of_media_that_cannot_work_are_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_media_are_images_without_videos_in_a_folder_beside_the_configuration(tmp_path):
    media = load_config(write(tmp_path, "media: {path: media}")).media
    assert (media.path, media.clips, media.snapshots.draw) == (str(tmp_path / "media"), None, True)


def test_many_errors_take_no_long_time(tmp_path):
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"config\.yaml: and 2980 more$"):
        load_config(write(tmp_path, "\n".join(f"key{number}: 1" for number in range(3000))))
    assert time.monotonic() - started < within(5)


def test_a_secret_of_a_variable_does_not_show_where_it_makes_a_value_invalid(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HOI_TEST_PASSWORD", "canary canary")
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "site: ${EDGE_HOI_TEST_PASSWORD}\nmax_frames: ${EDGE_HOI_TEST_PASSWORD}"))
    assert "canary" not in "".join(traceback.format_exception(type(caught.value), caught.value, None))


@pytest.mark.parametrize(("size", "is_read"), [(1_000_000, True), (1_000_001, False)])
def test_a_configuration_has_at_most_a_million_bytes(tmp_path, size, is_read):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * size)
    if is_read:
        assert load_config(path) == RunConfig()
    else:
        with pytest.raises(ConfigError, match=r"cannot be read \(larger than 1000000 bytes\)"):
            load_config(path)


def test_an_empty_configuration_has_the_defaults_and_names_may_repeat_between_sources_and_sinks(tmp_path):
    assert load_config(write(tmp_path, "")) == load_config(write(tmp_path, "{}")) == RunConfig()
    config = load_config(
        write(tmp_path, "sources: [{url: a.mp4, id: x}, {url: b.mp4}, {url: b.mp4}]\nsinks: [{type: jsonl, path: a, name: x}]")
    )
    assert [source.id for source in config.sources] == ["x", None, None]


def test_unknown_keys_are_reported_alone_and_other_errors_all(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "sits: a\nmax_frames: 0"))
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "site: ' '\nmax_frames: 0"))
    assert len(str(caught.value).splitlines()) == 2

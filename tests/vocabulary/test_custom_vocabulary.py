"""Custom vocabularies from YAML: their format and their errors."""

import os

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edge_hoi.errors import VocabularyError
from edge_hoi.vocabulary import Vocabulary, load_vocabulary
from edge_hoi.vocabulary.custom import parse_custom
from edge_hoi.vocabulary.data_files import MAX_BYTES
from edge_hoi.vocabulary.phrases import base_form, gerund, with_article


def _parse(text: str) -> Vocabulary:
    return parse_custom(text.encode(), file="list.yaml", name="list")


def _triplets(vocabulary: Vocabulary) -> list[tuple[str, str, str, str]]:
    return [(vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id], hoi.text, hoi.prompt) for hoi in vocabulary.hois]


@pytest.mark.parametrize(
    ("line", "verb", "noun", "text", "prompt"),
    [
        ("person riding bicycle", "ride", "bicycle", "person riding bicycle", "a photo of a person riding a bicycle"),
        ("a photo of a person riding a bicycle", "ride", "bicycle", "person riding bicycle", "a photo of a person riding a bicycle"),
        (
            "person talking on cell phone",
            "talk_on",
            "cell phone",
            "person talking on cell phone",
            "a photo of a person talking on a cell phone",
        ),
        ("A person  eating an Apple", "eat", "apple", "person eating apple", "a photo of a person eating an apple"),
        ("person hugging teddy bear", "hug", "teddy bear", "person hugging teddy bear", "a photo of a person hugging a teddy bear"),
        ("person holding cell_phone", "hold", "cell phone", "person holding cell phone", "a photo of a person holding a cell phone"),
        ("person and dog", "no_interaction", "dog", "person and dog", "a photo of a person and a dog"),
        (
            "person pushing a shopping cart",
            "push",
            "shopping cart",
            "person pushing shopping cart",
            "a photo of a person pushing a shopping cart",
        ),
        ("person driving forklift", "drive", "forklift", "person driving forklift", "a photo of a person driving a forklift"),
        (
            "{verb: push, object: shopping cart}",
            "push",
            "shopping cart",
            "person pushing shopping cart",
            "a photo of a person pushing a shopping cart",
        ),
        ("{verb: lie on, object: bench, prompt: asleep outside}", "lie_on", "bench", "person lying on bench", "asleep outside"),
        ("{verb: riding, object: horse}", "ride", "horse", "person riding horse", "a photo of a person riding a horse"),
        ("{verb: no_interaction, object: horse}", "no_interaction", "horse", "person and horse", "a photo of a person and a horse"),
        (
            "{prompt: A worker without a helmet!, object: helmet}",
            "worker_without",
            "helmet",
            "worker without helmet",
            "A worker without a helmet!",
        ),
        ("{prompt: a photo of a person riding a bus, object: bus}", "ride", "bus", "person riding bus", "a photo of a person riding a bus"),
    ],
)
def test_entry_becomes_verb_object_text_and_prompt(line, verb, noun, text, prompt):
    assert _triplets(_parse(f"- {line}")) == [(verb, noun, text, prompt)]


def test_ids_follow_the_entries_and_known_objects_keep_their_coco_id():
    vocabulary = _parse("- person riding bicycle\n- person wearing helmet\n- person holding bicycle\n")
    assert vocabulary.verbs == ("ride", "wear", "hold")
    assert vocabulary.objects == ("bicycle", "helmet")
    assert vocabulary.object_prompts == ("a photo of a bicycle", "a photo of a helmet", "a photo of nothing")
    assert vocabulary.coco_category_ids == (2, None)
    assert vocabulary.object_ids.tolist() == [0, 1, 0]


def test_file_names_the_vocabulary_unless_it_names_itself(tmp_path):
    path = tmp_path / "warehouse.yaml"
    path.write_text("- person driving forklift\n")
    assert load_vocabulary(path).name == "warehouse"
    path.write_text("name: hall 3\ninteractions: [person driving pallet truck]\nobjects: {pallet truck: a photo of a red pallet truck}\n")
    vocabulary = load_vocabulary(str(path))
    assert vocabulary.name == "hall 3"
    assert vocabulary.objects == ("pallet truck",)
    assert vocabulary.object_prompts[0] == "a photo of a red pallet truck"


@pytest.mark.parametrize("field", ["text", "prompt"])
def test_hico_det_written_as_phrases_is_hico_det_again(field):
    hico_det = load_vocabulary("hico_det")
    custom = _parse("\n".join(f"- {getattr(hoi, field)}" for hoi in hico_det.hois))
    assert _triplets(custom) == _triplets(hico_det)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found none; write lines like"),
        ("[]", "found none"),
        ("just words", "found none"),
        ("- [", "line 2: not YAML"),
        ("- person: riding: bicycle", "line 1: not YAML"),
        ("- person rides bicycle", r"entry 1 \('person rides bicycle'\): expected an -ing form after `person`, got 'rides'; write it like"),
        ("- person swing racket", "got 'swing'"),
        ("- dog riding bicycle", "expected a phrase about a person"),
        ("- person smiling", "names no object"),
        ("- person looking at", "names no object"),
        ("- person riding a", "names no object"),
        ("- person riding bicycle!", "expected plain words, got 'bicycle!'; for free text write"),
        ("- person riding bus\n-", "entry 2: expected text, got nothing printable"),
        ("- [person riding bus]", "entry 1: expected text, got a list or mapping"),
        ("- {verb: ride}", "entry 1: expected `object` and one of `verb` and `prompt`, got verb"),
        ("- {object: bus}", "entry 1: expected `object`"),
        ("- {}", "got nothing"),
        ("- {vreb: ride, object: bus}", "entry 1: unknown key 'vreb'; did you mean 'verb'?"),
        ("interaction: [person riding bus]", "unknown key 'interaction'; did you mean 'interactions'?"),
        ("- {prompt: '???', object: bus}", "has no words"),
        ("- person riding bus\n- a person riding a bus", r"entry 2 \('person riding bus'\) repeats entry 1; remove one"),
        ("- person riding bus\n- {prompt: a photo of a person riding a bus, object: coach}", "repeats entry 1"),
        ("name: vcoco\ninteractions: [person riding bus]", "'vcoco' is the name of a published vocabulary"),
        ("interactions: [person riding bus]\nobjects: {bus: a red bus}", "'bus' is one of COCO's objects"),
        ("interactions: [person riding bus]\nobjects: [bus]", "objects: expected a mapping"),
        (f"- person riding {'x' * 500}", "expected a short text, got 514 characters"),
    ],
)
def test_invalid_list_is_refused_with_place_and_fix(content, message):
    with pytest.raises(VocabularyError, match=f"^list.yaml.*{message}") as caught:
        _parse(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"\x00", "not YAML"),
        (b"[" * 5000, "nesting"),
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        (b"- x\n--- \n- y", "second YAML document"),
        (b"{name: a, name: b}", "text and differ, got 'name'"),
        (b"? [a]\n: b", "text and differ"),
        (b"#" * (MAX_BYTES + 1), "at most 262144 bytes"),
        (b"%YAML 3.0\n--- a", "not YAML"),
    ],
)
def test_hostile_yaml_is_refused(content, message):
    with pytest.raises(VocabularyError, match=message):
        parse_custom(content, file="list.yaml", name="list")


@pytest.mark.parametrize("kind", ["pipe", "device", "5 GB"])
def test_a_file_without_an_end_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "list.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 5 << 30)
    with pytest.raises(VocabularyError, match=r"list\.yaml' \((no regular file, but a pipe, socket or device|larger than 256 KiB)\)"):
        load_vocabulary(path)


def test_tags_are_ignored():
    assert _parse("- !!python/object/apply:os.abort person riding bus").hois[0].text == "person riding bus"


@given(st.one_of(st.binary(max_size=80), st.text(alphabet="-: []{}&*!?|>'\"%@`\n\tabcpersonriding", max_size=80).map(str.encode)))
def test_any_bytes_give_a_vocabulary_or_a_vocabulary_error(content):
    try:
        vocabulary = parse_custom(content, file="list.yaml", name="list")
    except VocabularyError:
        return
    assert len(vocabulary) > 0


def test_gerund_and_base_form_are_inverse_for_every_published_verb():
    firsts = {verb.split("_")[0] for verb in load_vocabulary("hico_det").verbs}
    assert {first: base_form(gerund(first)) for first in firsts} == {first: first for first in firsts}


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("juggle", "juggling"),
        ("mop", "mopping"),
        ("quit", "quitting"),
        ("fix", "fixing"),
        ("die", "dying"),
        ("see", "seeing"),
        ("unzip", "unzipping"),
        ("operate", "operating"),
        ("dance", "dancing"),
        ("roll", "rolling"),
    ],
)
def test_gerund_rule_holds_for_other_verbs_and_back(verb, expected):
    assert gerund(verb) == expected
    assert base_form(expected) == verb


def test_article_follows_the_first_letter_with_exceptions():
    assert [with_article(noun) for noun in ("apple", "tv", "umbrella", "orange juice")] == [
        "an apple",
        "a tv",
        "a umbrella",
        "an orange juice",
    ]


@pytest.mark.parametrize(
    ("line", "verb", "noun", "text", "prompt"),
    [
        ("{verb: 使用, object: cell phone}", "使用", "cell phone", "person 使用 cell phone", "a photo of a person 使用 a cell phone"),
        ("{verb: 使用, object: 手机}", "使用", "手机", "person 使用 手机", "a photo of a person 使用 手机"),
        ("person 使用 手机", "使用", "手机", "person 使用 手机", "a photo of a person 使用 手机"),
        ("{verb: чинит, object: bus}", "чинит", "bus", "person чинит bus", "a photo of a person чинит a bus"),
        ("{verb: चलाना, object: साइकिल}", "चलाना", "साइकिल", "person चलाना साइकिल", "a photo of a person चलाना साइकिल"),
        ("{verb: می\u200cراند, object: bus}", "می\u200cراند", "bus", "person می\u200cراند bus", "a photo of a person می\u200cراند a bus"),  # noqa: RUF001
        ("{verb: 使用 on, object: bus}", "使用_on", "bus", "person 使用 on bus", "a photo of a person 使用 on a bus"),
        ("{verb: saute\u0301, object: pizza}", "sauté", "pizza", "person sautéing pizza", "a photo of a person sautéing a pizza"),
        ("person singeing cake", "singe", "cake", "person singeing cake", "a photo of a person singeing a cake"),
        ("person canceling bus", "cancel", "bus", "person canceling bus", "a photo of a person canceling a bus"),
        ("person focussing camera", "focuss", "camera", "person focussing camera", "a photo of a person focussing a camera"),
        ("{verb: queueing for, object: bus}", "queue_for", "bus", "person queueing for bus", "a photo of a person queueing for a bus"),
        ("{prompt: आदमी साइकिल चलाना, object: साइकिल}", "आदमी_साइकिल_चलाना", "साइकिल", "आदमी साइकिल चलाना", "आदमी साइकिल चलाना"),
    ],
)
def test_a_verb_given_in_full_or_of_another_script_is_not_inflected(line, verb, noun, text, prompt):
    assert _triplets(_parse(f"- {line}")) == [(verb, noun, text, prompt)]

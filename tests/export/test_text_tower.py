import csv
import unicodedata

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import open_clip
import tokenizers

from edge_hoi.export import export_text_tower, write_tokenizer
from edge_hoi.model import VARIANTS, build_clip
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.vocabulary import load_vocabulary


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return tokenizers.Tokenizer.from_file(str(path))


REFERENCE = open_clip.SimpleTokenizer()


def expected_ids(text):
    return [REFERENCE.sot_token_id, *REFERENCE.encode(text), REFERENCE.eot_token_id]


@pytest.mark.parametrize("name", ["hico_det", "vcoco"])
def test_every_prompt_of_the_published_vocabularies_gets_its_ids(tokenizer, name):
    vocabulary = load_vocabulary(name)
    prompts = [*(hoi.prompt for hoi in vocabulary.hois), *vocabulary.object_prompts]
    for prompt in prompts:
        assert tokenizer.encode(prompt).ids == expected_ids(prompt), prompt
    padded = REFERENCE(prompts).numpy()
    for row, encoding in zip(padded, tokenizer.encode_batch(prompts), strict=True):
        np.testing.assert_array_equal(row, np.pad(encoding.ids, (0, 77 - len(encoding.ids))))


def test_every_prompt_of_the_reference_data_gets_its_ids(tokenizer, shared_data):
    with (shared_data / "vocab" / "hico_det.tsv").open(encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file, delimiter="\t") for cell in row]
    assert len(cells) > 600
    for cell in cells:
        assert tokenizer.encode(cell).ids == expected_ids(cell), cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "  Two   SPACES\tand\na line ",
        "person's dog",
        "it'S they've I'm we'll he'd don't you're 'SOLO",
        "\u2018curly\u2019 \u201cquotes\u201d it\u2019s",
        "123 4th 5,000.50 ½ Ⅷ ²",
        "naïve café, cafe\u0301",
        "日本語 テスト 한국어 العربية हिन्दी",
        "emoji 👩‍👩‍👧 🚲!",
        "\u017f '\u017ft straße ẞ",
        "İstanbul ŒUVRE",
        "<start_of_text> between <end_of_text>",
        "glued<end_of_text>text",
        "snake_case-and-dashes ... !!! ???",
        "x" * 300,
        "\u00a0no-break\u3000ideographic",
    ],
)
def test_unusual_texts_get_their_ids_without_cleaning(tokenizer, text):
    assert tokenizer.encode(text).ids == expected_ids(text)


UNASSIGNED = ("Cs", "Cn", "Co")  # they depend on the Unicode version
CHARACTERS = st.characters(exclude_categories=UNASSIGNED)


@given(st.text(st.one_of(CHARACTERS, st.sampled_from("abst 'S\u201909.,_-")), max_size=40))
@example("&amp; \ufb01sh \uff26\uff35 ΣΑΣ \x00 Ä®\x80")
def test_any_cleaned_text_gets_its_ids(tokenizer, text):
    cleaned = REFERENCE.clean_fn(text)
    assume(all(unicodedata.category(character) not in UNASSIGNED for character in cleaned))  # mojibake may become one of those
    assert tokenizer.encode(cleaned).ids == expected_ids(text)  # not of `cleaned`: cleaning twice can change a text again


def test_every_letter_of_the_scripts_in_use_gets_its_ids(tokenizer):
    texts = [f"a{chr(code)}b" for code in range(0x20, 0x3100) if unicodedata.category(chr(code)) not in UNASSIGNED]
    encodings = tokenizer.encode_batch([REFERENCE.clean_fn(text) for text in texts])
    wrong = [text for text, encoding in zip(texts, encodings, strict=True) if encoding.ids != expected_ids(text)]
    assert wrong == []


def test_the_tokenizer_file_is_deterministic(tmp_path):
    for name in ("a.json", "b.json"):
        write_tokenizer(tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    return build_clip(VARIANTS["tiny"].clip).text


@pytest.mark.slow
@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-5), (True, 1e-3)])
def test_the_exported_tower_equals_the_tower_up_to_length(tower, tmp_path, half, tolerance):
    path = tmp_path / "text.onnx"
    export_text_tower(tower, path, half=half)
    tokens = REFERENCE(["a photo of a person riding a bicycle", "a dog", ""])
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(tower(tokens), dim=-1).numpy()
    run = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    features = run({"tokens": tokens.numpy()})["text_features"]
    np.testing.assert_allclose(features, expected, atol=tolerance)
    np.testing.assert_allclose(run({"tokens": tokens.numpy()[:, :12]})["text_features"], features, atol=1e-6)
    stored = sum(parameter.numel() for parameter in tower.parameters()) * (2 if half else 4)
    assert abs(path.stat().st_size / stored - 1) < 0.05

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from corpus.recipe_file import read_recipe
from filters.base import Documents
from filters.decontaminate import Decontaminate
from manifests.errors import InputError, RecipeError
from tests.edge_cases import batch, check_filter, columns_of, measure, reasons
from tests.shared import shared_data

QUESTION = "Which of the two planets that lie nearest to the sun has no air at all?"  # 16 words
SHORT = "Name the nine muses of the Greeks, please."  # 8 words
ITEMS = [
    {"id": "astro-1", "text": QUESTION, "answer": "Mercury"},
    {"id": "myth-7", "text": SHORT, "answer": None},
    {"id": "yes", "text": "Yes.", "answer": "No."},
]


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "items.jsonl"
    file.write_bytes(_lines(ITEMS))
    return str(file)


def _write(tmp_path: Path, data: bytes) -> Decontaminate:
    file = tmp_path / "other.jsonl"
    file.write_bytes(data)
    return Decontaminate(files=[str(file)])


def test_edge_cases_pass(path: str, tmp_path: Path) -> None:
    rule = _write(tmp_path, _lines([{"id": 1, "text": "the quick brown fox jumps over 13 lazy dogs"}]))
    check_filter(rule)
    check_filter(rule.model_copy(update={"action": "mask"}))
    check_filter(Decontaminate(files=[path], n=2, min_words=1, min_overlap=0.5))


def test_the_item_found_is_named_with_the_share_of_its_words(path: str) -> None:
    rule = Decontaminate(files=[path])
    texts = [f"before {QUESTION} after", " ".join(QUESTION.split()[:13]), SHORT, "Yes. No. Mercury", QUESTION + SHORT]
    assert measure(rule, "item", texts) == ["astro-1", "astro-1", "myth-7", "", "astro-1"]
    assert measure(rule, "overlap_ratio", texts) == [1.0, 13 / 16, 1.0, 0.0, 15 / 16]
    assert measure(rule, "num_ngrams", texts) == [4.0, 1.0, 1.0, 0.0, 3.0]
    assert measure(rule, "num_items", texts) == [1.0, 1.0, 1.0, 0.0, 1.0]
    assert reasons(rule, texts) == ["decontaminate.contaminated"] * 3 + [None, "decontaminate.contaminated"]


def test_case_punctuation_and_line_ends_hide_nothing(path: str) -> None:
    rule = Decontaminate(files=[path])
    texts = [SHORT.upper().replace(",", ""), "«name — the nine\nmuses » of the\u00a0greeks , please", SHORT[:-8]]
    assert measure(rule, "item", texts) == ["myth-7", "myth-7", ""]


def test_a_document_with_the_least_overlap_itself_is_dropped(path: str) -> None:
    texts = [" ".join(QUESTION.split()[:13]), QUESTION, "nothing"]
    dropped = "decontaminate.contaminated"
    for least, expected in ((0.0, [dropped, dropped]), (13 / 16, [dropped, dropped]), (0.82, [None, dropped])):
        assert reasons(Decontaminate(files=[path], min_overlap=least), texts) == [*expected, None]
    assert reasons(Decontaminate(files=[path], min_overlap=None), texts) == [None, None, None]


def test_dropping_changes_no_text(path: str) -> None:
    texts = ["", f"é {QUESTION}", "x"]
    assert columns_of(Decontaminate(files=[path]), batch(texts))[1] == texts


def test_masking_replaces_each_stretch_and_drops_nothing(path: str) -> None:
    rule = Decontaminate(files=[path], action="mask")
    texts = [f"é “{QUESTION}” and {SHORT}\n", f"{SHORT} {SHORT}", "clean", ""]
    columns, edited = columns_of(rule, batch(texts))
    assert edited == ["é “[BENCHMARK]?” and [BENCHMARK].\n", "[BENCHMARK].", "clean", ""]
    assert columns["num_masked"].tolist() == [2.0, 1.0, 0.0, 0.0]
    assert columns["item"].tolist() == ["astro-1", "myth-7", "", ""]
    assert columns["overlap_ratio"].tolist() == [0.0] * 4
    assert reasons(rule, texts) == [None] * 4
    assert columns_of(rule, batch(edited))[1] == edited


def test_masking_leaves_items_with_less_overlap_than_asked_for(path: str) -> None:
    part = " ".join(QUESTION.split()[:13])
    rule = Decontaminate(files=[path], action="mask", min_overlap=0.9)
    columns, edited = columns_of(rule, batch([f"{part}; {SHORT}", part]))
    assert edited == [f"{part}; [BENCHMARK].", part]
    assert columns["num_masked"].tolist() == [1.0, 0.0]


def test_nothing_is_masked_while_the_least_overlap_is_off(path: str) -> None:
    rule = Decontaminate(files=[path], action="mask", min_overlap=None)
    assert columns_of(rule, batch([SHORT]))[1] == [SHORT]


def test_nulls_count_as_empty_text(path: str) -> None:
    table = pa.table(
        {"doc_id": ["1", "2"], "url": pa.nulls(2, pa.string()), "text": pa.array([None, SHORT], pa.large_string())}
    )
    text, columns = Decontaminate(files=[path]).edit(Documents(table))
    assert text.to_pylist() == ["", SHORT]
    assert columns["item"].tolist() == ["", "myth-7"]


def test_a_line_that_too_many_items_share_is_no_sign_of_any(tmp_path: Path) -> None:
    rows = [{"id": number, "text": f"{SHORT} Then count to {number} in Latin."} for number in range(4)]
    rule = _write(tmp_path, _lines(rows)).model_copy(update={"n": 8, "max_items": 3})
    texts = [SHORT, rows[2]["text"], "Then count to 3 in Latin"]
    assert measure(rule, "item", texts) == ["", "2", ""]
    assert measure(rule, "overlap_ratio", texts) == [0.0, 1.0, 0.0]
    assert measure(rule, "num_items", texts) == [0.0, 1.0, 0.0]
    assert measure(rule.model_copy(update={"max_items": 4}), "num_items", texts) == [4.0, 4.0, 0.0]


def test_each_column_is_a_text_of_its_own_and_null_is_none(tmp_path: Path) -> None:
    rows = [{"id": 3, "text": SHORT, "answer": "Clio and Thalia and seven more of their kind"}, {**ITEMS[1], "id": 4}]
    rule = _write(tmp_path, _lines(rows)).model_copy(update={"columns": ["answer", "text"]})
    texts = [rows[0]["answer"], " ".join(SHORT.split()[4:]) + " Clio and Thalia and", SHORT]
    assert measure(rule, "item", texts) == ["3", "", "3"]


def test_the_first_file_names_an_item_that_two_files_hold(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(_lines([{"id": f"first of {name}", "text": "x"}, {"id": name, "text": SHORT}]))
    for order in (["a", "b"], ["b", "a"]):
        rule = Decontaminate(files=[str(tmp_path / name) for name in order])
        assert measure(rule, "item", [SHORT, "first of b"]) == [order[0], ""]
        assert measure(rule, "item_file", [SHORT, "first of b"]) == [0.0, -1.0]
        unnamed = rule.model_copy(update={"id_column": None})
        assert measure(unnamed, "item", [SHORT]) == ["files[0]:2"]


def test_the_file_that_has_the_item_is_told_by_its_number(path: str, tmp_path: Path) -> None:
    other = _write(tmp_path, _lines([{"id": "count", "text": "Count all the primes below one hundred in Latin."}]))
    rule = Decontaminate(files=[path, *other.files])
    texts = [SHORT, "count all the primes below one hundred in latin", "x"]
    assert measure(rule, "item", texts) == ["myth-7", "count", ""]
    assert measure(rule, "item_file", texts) == [0.0, 1.0, -1.0]


def test_compressed_files_are_read(tmp_path: Path) -> None:
    for data in (gzip.compress(_lines(ITEMS)), zstandard.compress(_lines(ITEMS))):
        assert measure(_write(tmp_path, data), "item", [SHORT]) == ["myth-7"]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    rule = _write(tmp_path, _lines(ITEMS))
    assert measure(rule, "item", [SHORT]) == ["myth-7"]
    before = rule.measuring()
    _write(tmp_path, _lines([{"id": "another", "text": SHORT}]))
    assert measure(rule, "item", [SHORT]) == ["another"]
    assert rule.measuring() != before


def test_half_a_surrogate_pair_in_an_item_is_no_letter(tmp_path: Path) -> None:
    rule = _write(tmp_path, b'{"id": "a\\ud800", "text": "\\ud800 %s"}\n' % SHORT.encode())
    assert measure(rule, "item", [SHORT]) == ["a?"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b'{"id": 1, "text": "a"}\n\nno\n',
            r"other\.jsonl: line 3 is not JSON \(Expecting value.*Give one JSON object",
        ),
        (b"[1]\n", r"line 1 is no JSON object\. Give one JSON object a line"),
        (b"[" * 100_000, r"line 1 is not JSON"),
        (b'{"id": 1, "body": "a"}\n', r"line 1: has no 'text'; its keys are 'id', 'body'\. .* or set columns"),
        (b'{"text": "a"}\n', r"line 1: has no 'id'; its keys are 'text'\. .* or set id_column \(or \"off\""),
        (b'{"id": 1, "text": ["a"]}\n', r"line 1: 'text' is no string or null\. Set columns"),
        (b'{"id": 1.5, "text": "a"}\n', r"line 1: 'id' is no string or whole number\. Set id_column"),
        (b"\n", r"other\.jsonl: holds no text\. Give JSON lines with text"),
        (b'{"id": 1, "text": null}\n', r"holds no text"),
        (b"\xff\n", r"byte 0 is not UTF-8"),
        (b"\x1f\x8b\x08broken", r"compressed but broken"),
    ],
)
def test_a_broken_file_is_an_error_that_names_file_line_and_remedy(tmp_path: Path, data: bytes, message: str) -> None:
    rule = _write(tmp_path, data)
    with pytest.raises(RecipeError, match=message):
        rule.check()


def test_a_config_that_can_find_nothing_is_an_error(path: str, tmp_path: Path) -> None:
    Decontaminate(files=[path]).check()
    with pytest.raises(RecipeError, match="no file is named"):
        Decontaminate().check()
    with pytest.raises(RecipeError, match="min_words = 8 is above n = 5"):
        Decontaminate(files=[path], n=5).check()
    with pytest.raises(InputError, match=r"absent\.jsonl: cannot be read"):
        Decontaminate(files=[str(tmp_path / "absent.jsonl")]).check()


def test_the_least_overlap_is_a_threshold_unless_it_changes_texts(path: str) -> None:
    def measuring(**keys: Any) -> dict[str, Any]:
        return Decontaminate(files=[path], **keys).measuring()

    assert measuring(min_overlap=0.5) == measuring()
    assert measuring(action="mask", min_overlap=0.5) != measuring(action="mask") != measuring()
    assert measuring(n=10) != measuring()
    assert path not in str(measuring())


def test_a_recipe_can_name_the_filter(path: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nseed = 1\n[[source]]\nname = "s"\nformat = "text"\npaths = ["*.txt"]\nlicence = "none"\n'
        '[[filter]]\nrule = "decontaminate"\nfiles = ["items.jsonl"]\naction = "mask"\n'
        '[tokenize]\ntokenizer = "train:1000"\n',
        "utf-8",
    )
    (rule,) = read_recipe(str(recipe)).filter
    assert rule == Decontaminate(files=[path], action="mask")


@pytest.mark.shared
def test_planted_items_are_found_and_clean_documents_pass() -> None:
    folder = shared_data("text", "decontamination")
    planted = (folder / "planted_documents.jsonl.zst").read_bytes()
    rows = [json.loads(line) for line in zstandard.decompress(planted).decode().split("\n") if line]
    rule = Decontaminate(files=[str(folder / "benchmarks.jsonl.zst")])
    found = measure(rule, "item", [row["text"] for row in rows])
    num_found = Counter(row["kind"] for row, item in zip(rows, found, strict=True) if item)
    assert num_found == {
        **dict.fromkeys(("exact", "exact+answer", "two_items", "whitespace_wrapped", "case_punct"), 100),
        # Of four more documents nothing is whole but a line that 507 items of one benchmark begin with.
        "window13": 99,
        "first_half": 90,
        "word_substitution_10": 84,
        "word_substitution_30": 15,
    }  # fmt: skip
    named = [item in row["item_ids"] for row, item in zip(rows, found, strict=True) if row["kind"].startswith("exact")]
    assert named == [True] * 200

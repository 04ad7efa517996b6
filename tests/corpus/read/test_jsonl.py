import bz2
import gzip
import json
from pathlib import Path

import pytest
import zstandard

from corpus.read import check_source, read_record
from corpus.recipe import Source
from corpus.units import plan_units
from manifests.errors import SchemaMismatch
from tests.corpus.read.archives import outcomes, rows_of

LINES = [b'{"text": "one", "url": "http://a.example/", "date": "2024"}', b'{"text": "zwei \xc3\xbc"}', b'{"text": "3"}']


@pytest.mark.parametrize("packing", ["plain", "gzip", "gzip members", "zstd", "zstd frames"])
def test_lines_are_rows_with_places_in_the_unpacked_bytes(tmp_path: Path, packing: str) -> None:
    lines = [line + b"\n" for line in LINES]
    data = {
        "plain": b"".join(lines),
        "gzip": gzip.compress(b"".join(lines)),
        "gzip members": b"".join(map(gzip.compress, lines)),
        "zstd": zstandard.compress(b"".join(lines)),
        "zstd frames": b"".join(map(zstandard.compress, lines)),
    }[packing]
    path = tmp_path / "a.jsonl"
    rows = rows_of(path, data, "jsonl")
    assert [row["text"] for row in rows] == ["one", "zwei ü", "3"]
    assert [row["offset"] for row in rows] == [0, len(lines[0]), len(lines[0]) + len(lines[1])]
    assert [row["length"] for row in rows] == [len(line) for line in LINES]
    assert [(row["url"], row["date"]) for row in rows] == [("http://a.example/", "2024"), (None, None), (None, None)]
    source = Source(name="s", format="jsonl", paths=[str(path)])
    for row in rows:
        assert read_record(str(path), source, row["offset"], row["length"]).to_pylist() == [row]


def test_only_the_line_feed_ends_a_line(tmp_path: Path) -> None:
    data = '{"text": "a\u2028b\u0085c"}\r\n\n  \n{"text": "d"}'.encode()
    rows = rows_of(tmp_path / "a.jsonl", data, "jsonl")
    assert [row["text"] for row in rows] == ["a\u2028b\u0085c", "d"]
    assert outcomes(rows) == [None, None]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "read.invalid_json"),
        (b"[1, 2]", "read.invalid_json"),
        (b'"text"', "read.invalid_json"),
        (b"[" * 100_000, "read.invalid_json"),
        (b'{"text": "a", "n": ' + b"1" * 5000 + b"}", "read.invalid_json"),
        (b'{"text": "\xff"}', "read.invalid_encoding"),
        (b'{"body": "a"}', "read.missing_text"),
        (b'{"text": null}', "read.missing_text"),
        (b'{"text": 5}', "read.text_type"),
        (b'{"text": ["a"]}', "read.text_type"),
        (b'{"text": " \\n"}', "read.empty"),
    ],
)
def test_a_line_that_cannot_be_read_fails_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    rows = rows_of(tmp_path / "a.jsonl", LINES[0] + b"\n" + line + b"\n" + LINES[2] + b"\n", "jsonl")
    assert outcomes(rows) == [None, reason, None]
    assert (rows[1]["error"] is None) == (reason == "read.empty")


def test_lone_surrogates_become_replacement_characters(tmp_path: Path) -> None:
    data = rb'{"text": "a\ud800b \ud83d\ude00", "id": "\udfff"}'
    (row,) = rows_of(tmp_path / "a.jsonl", data, "jsonl")
    assert row["text"] == "a\ufffdb \U0001f600"
    assert json.loads(row["extra"]) == {"id": "\ufffd"}


def test_columns_can_be_mapped_and_kept(tmp_path: Path) -> None:
    data = b'{"body": "a", "text": "no", "link": "u", "lang": "de", "id": 7, "score": 0.5, "gone": null}'
    settings = {"columns": {"text": "body", "url": "link", "language": "lang"}, "keep_columns": ["score", "gone"]}
    (row,) = rows_of(tmp_path / "a.jsonl", data, "jsonl", **settings)
    assert (row["text"], row["url"]) == ("a", "u")
    assert row["extra"] == '{"id":7,"language":"de","score":0.5}'


def test_a_line_above_the_limit_fails_and_the_next_is_read(tmp_path: Path) -> None:
    long = b'{"text": "' + b"x" * 100 + b'"}'
    data = long + b"\n" + LINES[2] + b"\r\n" + LINES[2]
    rows = rows_of(tmp_path / "a.jsonl", data, "jsonl", max_record_bytes=len(LINES[2]))
    assert outcomes(rows) == ["read.too_large", None, None]
    assert [row["offset"] for row in rows] == [0, len(long) + 1, len(long) + 1 + len(LINES[2]) + 2]


def test_broken_packing_keeps_the_lines_before_it(tmp_path: Path) -> None:
    data = gzip.compress(b"\n".join(LINES))
    rows = rows_of(tmp_path / "a.jsonl.gz", gzip.compress(LINES[0] + b"\n") + data[:-12], "jsonl")
    assert rows[0]["text"] == "one"
    assert [row["error"] is None for row in rows][-1] is False
    rows = rows_of(tmp_path / "a.jsonl.gz", gzip.compress(LINES[0] + b"\n") + b"garbage", "jsonl")
    assert outcomes(rows) == [None, "read.broken"]


def test_a_file_without_lines_is_one_failed_row(tmp_path: Path) -> None:
    for data in (b"", b"\n\n", gzip.compress(b""), zstandard.compress(b"")):
        (row,) = rows_of(tmp_path / "a.jsonl", data, "jsonl")
        assert (row["reason"], row["offset"]) == ("read.no_records", 0)


def test_a_packing_that_is_not_known_is_no_json(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.jsonl", bz2.compress(LINES[0]), "jsonl")
    assert set(outcomes(rows)) <= {"read.invalid_encoding", "read.invalid_json"}
    assert rows


def test_a_text_column_that_no_line_has_is_a_wrong_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"body": "a"}\n{"body": "b"}\n')
    source = Source(name="s", format="jsonl", paths=[str(path)])
    with pytest.raises(SchemaMismatch, match=r"a\.jsonl: none of the first 100 lines has 'text'; they have \['body'\]"):
        check_source(source, plan_units(source))
    right = Source(name="s", format="jsonl", paths=[str(path)], columns={"text": "body"})
    check_source(right, plan_units(right))

import gzip
from pathlib import Path

import pytest
import zstandard

from corpus.read import read_record
from corpus.recipe import Source
from tests.corpus.read.archives import rows_of

TEXT = "Grüße aus Köln.\nZweite Zeile.\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_file_is_one_document(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "a.txt"
    (row,) = rows_of(path, pack(TEXT.encode()), "text")  # type: ignore[operator]
    assert (row["text"], row["offset"], row["length"], row["reason"]) == (TEXT, 0, path.stat().st_size, None)
    source = Source(name="s", format="text", paths=[str(path)])
    assert read_record(str(path), source, 0, row["length"]).to_pylist() == [row]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "cp1251"])
def test_other_encodings_are_recognised(tmp_path: Path, codec: str) -> None:
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
    assert rows_of(tmp_path / "a.txt", text.encode(codec), "text")[0]["text"] == text


def test_empty_too_large_and_broken_files_have_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert rows_of(path, b" \n", "text")[0]["reason"] == "read.empty"
    assert rows_of(path, b"12345", "text", max_record_bytes=5)[0]["text"] == "12345"
    assert rows_of(path, b"123456", "text", max_record_bytes=5)[0]["reason"] == "read.too_large"
    assert rows_of(path, gzip.compress(TEXT.encode())[:-9], "text")[0]["reason"] == "read.broken"

import gzip
import zlib
from pathlib import Path

import fastwarc
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter, Lz4Writer

from corpus.read import DEFECTS, UnitReader, read_record
from corpus.recipe import Source
from corpus.units import plan_units
from tests.corpus.read.archives import PAGE, http, outcomes, packed, record, rows_of
from tests.shared import shared_data

FILE = "a.warc.gz"


def test_every_record_is_one_row_with_place_url_and_date(tmp_path: Path) -> None:
    records = [record(b"software: x", "warcinfo"), record(http()), record(http(b"<html>two"))]
    rows = rows_of(tmp_path / FILE, packed(*records), "warc")
    sizes = [len(packed(item)) for item in records]
    assert [(row["offset"], row["length"]) for row in rows] == [
        (0, sizes[0]),
        (sizes[0], sizes[1]),
        (sizes[0] + sizes[1], sizes[2]),
    ]
    assert [row["text"] for row in rows] == ["", PAGE.decode(), "<html>two"]
    assert outcomes(rows) == ["read.record_type", None, None]
    assert {(row["url"], row["date"]) for row in rows} == {("http://example.org/", "2024-01-02T03:04:05Z")}
    assert len({row["doc_id"] for row in rows}) == 3


@pytest.mark.parametrize(
    ("block", "headers", "reason"),
    [
        (http(status="301 Moved"), {}, "read.http_status"),
        (http(status="404 Not Found"), {}, "read.http_status"),
        (http(b"%PDF", Content_Type="application/pdf"), {}, "read.content_type"),
        (http(b"just words", Content_Type=""), {}, "read.content_type"),
        (http(b" \n"), {}, "read.empty"),
        (b"not http", {}, "read.http_header"),
        (b"20240101 1.2.3.4", {"Content_Type": "text/dns"}, "read.content_type"),
        (http(b"\x1f\x8b\x08\xff garbage", Content_Encoding="gzip"), {}, "read.content_encoding"),
        (http(b"x", Content_Encoding="rot13"), {}, "read.content_encoding"),
        (http(Content_Type="application/xhtml+xml; charset=utf-8"), {}, None),
        (http(Content_Type="TEXT/HTML"), {}, None),
        (http(Content_Type=""), {}, None),
        (http(b" <!-- c --> <HTML><p>x", Content_Type="unknown"), {}, None),
        (http(Content_Type="text/plain"), {"WARC_Identified_Payload_Type": "text/html"}, None),
    ],
)
def test_only_html_answered_with_200_is_a_document(
    tmp_path: Path, block: bytes, headers: dict[str, str], reason: str | None
) -> None:
    (row,) = rows_of(tmp_path / FILE, packed(record(block, **headers)), "warc")
    assert row["reason"] == reason
    assert (row["text"] != "") == (reason is None)
    assert (row["error"] is not None) == (reason in ("read.http_header", "read.content_encoding"))


@pytest.mark.parametrize("kind", ["warcinfo", "request", "metadata", "revisit", "resource", "conversion", "other"])
def test_records_that_are_no_responses_are_dropped_with_a_reason(tmp_path: Path, kind: str) -> None:
    assert outcomes(rows_of(tmp_path / FILE, packed(record(http(), kind)), "warc")) == ["read.record_type"]


def test_angle_brackets_around_the_uri_are_removed(tmp_path: Path) -> None:
    data = packed(record(http(), WARC_Target_URI="<http://example.org/a>"))
    assert rows_of(tmp_path / FILE, data, "warc")[0]["url"] == "http://example.org/a"


def _brotli(path: Path, data: bytes) -> bytes:
    with open(path, "wb") as file, BrotliWriter(file) as writer:
        writer.write(data)
    return path.read_bytes()


def test_bodies_are_unpacked(tmp_path: Path) -> None:
    chunked = b"5\r\n" + PAGE[:5] + b"\r\n" + f"{len(PAGE) - 5:x};x=y\r\n".encode() + PAGE[5:] + b"\r\n0\r\n\r\n"
    deflated = zlib.compress(PAGE)
    blocks = [
        http(chunked, Transfer_Encoding="chunked"),
        http(PAGE, Transfer_Encoding="chunked"),  # the header is wrong: kept by a crawler that had unpacked it
        http(gzip.compress(PAGE), Content_Encoding="gzip"),
        http(PAGE, Content_Encoding="gzip"),
        http(deflated, Content_Encoding="deflate"),
        http(deflated[2:-4], Content_Encoding="deflate"),
        http(_brotli(tmp_path / "br", PAGE), Content_Encoding="br"),
        http(zstandard.compress(PAGE), Content_Encoding="zstd"),
    ]
    rows = rows_of(tmp_path / FILE, packed(*map(record, blocks)), "warc")
    assert [row["text"] for row in rows] == [PAGE.decode()] * len(blocks)


def test_a_record_or_body_above_the_limit_fails_and_the_next_is_read(tmp_path: Path) -> None:
    bomb = http(gzip.compress(b"<html>" + bytes(100_000)), Content_Encoding="gzip")
    data = packed(record(http(b"<html>" + b"x" * 5000)), record(bomb), record(http()))
    rows = rows_of(tmp_path / FILE, data, "warc", max_record_bytes=2000)
    assert outcomes(rows) == ["read.too_large", "read.too_large", None]
    assert [row["error"] is None for row in rows] == [False, False, True]


def test_bytes_without_meaning_become_replacement_characters(tmp_path: Path) -> None:
    body = b"<html>\x00" + "ü".encode() * 50 + b"\xff\xed\xa0\x80b"
    (row,) = rows_of(tmp_path / FILE, packed(record(http(body, Content_Type="text/html; charset=utf-8"))), "warc")
    assert row["text"] == "<html>\x00" + "ü" * 50 + "\ufffd\ufffd\ufffd\ufffdb"


def _lz4(path: Path, *records: bytes) -> bytes:
    for number, item in enumerate(records):
        with open(path.with_suffix(f".{number}"), "wb") as file, Lz4Writer(file) as writer:
            writer.write(item)
    return b"".join(path.with_suffix(f".{number}").read_bytes() for number in range(len(records)))


def _with_dictionary(*records: bytes) -> bytes:
    samples = [f"header {number} <!doctype html><html><body>{number * 7}".encode() * 3 for number in range(400)]
    dictionary = zstandard.train_dictionary(2000, samples)
    content = dictionary.as_bytes()
    packer = zstandard.ZstdCompressor(dict_data=dictionary)
    return b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content + b"".join(map(packer.compress, records))


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "zstd with dictionary", "lz4"])
def test_each_packing_gives_the_same_texts_and_places_that_can_be_read_again(tmp_path: Path, packing: str) -> None:
    records = [record(http(b"<html>%d" % number)) for number in range(3)]
    data = {
        "plain": lambda: b"".join(records),
        "gzip": lambda: packed(*records),
        "zstd": lambda: b"".join(map(zstandard.compress, records)),
        "zstd with dictionary": lambda: _with_dictionary(*records),
        "lz4": lambda: _lz4(tmp_path / "f", *records),
    }[packing]()
    path = tmp_path / "a.warc"
    rows = rows_of(path, data, "warc")
    assert [row["text"] for row in rows] == ["<html>0", "<html>1", "<html>2"]
    source = Source(name="s", format="warc", paths=[str(path)])
    for row in rows:
        assert read_record(str(path), source, row["offset"], row["length"]).to_pylist() == [row]
    if packing != "zstd with dictionary":
        assert [row["offset"] + row["length"] for row in rows] == [rows[1]["offset"], rows[2]["offset"], len(data)]


def test_gzip_over_a_whole_file_numbers_the_records_of_a_member(tmp_path: Path) -> None:
    first, second = record(http(b"<html>1")), record(http(b"<html>2")) + record(http(b"<html>3"))
    path = tmp_path / FILE
    rows = rows_of(path, packed(first, second), "warc")
    start = len(packed(first))
    assert [row["offset"] for row in rows] == [0, start, start + 1]
    source = Source(name="s", format="warc", paths=[str(path)])
    for row in rows:
        assert read_record(str(path), source, row["offset"], row["length"]).to_pylist() == [row]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "read.no_records"),
        (b"\r\n\r\n", "read.no_records"),
        (gzip.compress(b""), "read.no_records"),
        (b"plain words\n", "read.not_an_archive"),
        (b"filedesc://x.arc 0.0.0.0 2008 text/plain 76\n", "read.not_an_archive"),
        (gzip.compress(b"words"), "read.not_an_archive"),
        (b"\x1f\x8b", "read.broken"),
        (b"\x1f\x8b\x08\x00\x00", "read.broken"),
        (b"\x1f\x8b\xff\x00\x00\x00\x00\x00\x00\x00 garbage", "read.broken"),
        (b"\x28\xb5\x2f\xfd\xff\xff\xff", "read.broken"),
        (b"\x04\x22\x4d\x18", "read.broken"),
        (record(http()).replace(b"Content-Length: ", b"Content-Length: -"), "read.broken"),
        (record(http()).replace(b"Content-Length", b"Content-Width"), "read.broken"),
        (record(http(), Content_Length="10"), "read.broken"),
        (record(http(), Content_Length="9999"), "read.truncated"),
        (record(http())[:40], "read.truncated"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_failed_row(tmp_path: Path, data: bytes, reason: str) -> None:
    (row,) = rows_of(tmp_path / FILE, data, "warc")
    assert (row["reason"], row["text"], row["offset"]) == (reason, "", 0)
    assert row["error"]


def test_a_broken_tail_keeps_what_came_before(tmp_path: Path) -> None:
    good = packed(record(http()), record(http()))
    for tail in (b"garbage", packed(record(http()))[:-20], b"\x1f\x8b\x08\x00"):
        rows = rows_of(tmp_path / FILE, good + tail, "warc")
        assert outcomes(rows)[:2] == [None, None]
        assert [row["error"] is None for row in rows] == [True, True, False]


def test_a_file_cut_anywhere_gives_whole_rows_and_at_most_one_failed(tmp_path: Path) -> None:
    data = record(http()) + record(http(b"<html>two"))
    first = len(record(http()))
    num_cut = 0
    for size in range(len(data)):
        rows = rows_of(tmp_path / FILE, data[:size], "warc")
        failed = [row for row in rows if row["error"]]
        is_whole = size in range(first - 4, first + 1) or size >= len(data) - 4
        assert (len(rows), len(failed)) == (1 + (size > first), 0 if is_whole else 1), size
        num_cut += bool(failed)
    assert num_cut == len(data) - 9


def test_zero_padding_after_the_last_member_is_no_record(tmp_path: Path) -> None:
    assert outcomes(rows_of(tmp_path / FILE, packed(record(http())) + bytes(1000), "warc")) == [None]


def test_lower_case_folded_and_repeated_headers_are_read(tmp_path: Path) -> None:
    block = http()
    header = (
        f"warc/1.0\nwarc-TYPE:Response\nX-Long: a\n b\nContent-length: {len(block)}\nContent-Length: 3\n\n".encode()
    )
    assert outcomes(rows_of(tmp_path / FILE, header + block + b"\n\n", "warc")) == [None]


def test_wet_gives_the_text_of_conversion_records(tmp_path: Path) -> None:
    records = [
        record(b"x", "warcinfo"),
        record("Grüße\n".encode(), "conversion"),
        record(b"", "conversion"),
        record(b"a\xffb", "conversion"),
    ]
    rows = rows_of(tmp_path / "a.warc.wet.gz", packed(*records), "wet")
    assert outcomes(rows) == ["read.record_type", None, "read.empty", None]
    assert [row["text"] for row in rows] == ["", "Grüße\n", "", "a\ufffdb"]


@pytest.mark.shared
def test_real_archives_are_framed_as_fastwarc_frames_them() -> None:
    path = shared_data("web", "warc", "real-0001.warc.gz")
    source = Source(name="s", format="warc", paths=[str(path)])
    (unit,) = plan_units(source)
    table = pa.concat_tables(UnitReader(unit, source))
    with open(path, "rb") as file:
        expected = [
            (item.stream_pos, (item.headers.get("WARC-Target-URI")))
            for item in fastwarc.warc.ArchiveIterator(file, parse_http=False)
        ]
    assert list(zip(table["offset"].to_pylist(), table["url"].to_pylist(), strict=True)) == expected
    ends = table["offset"].to_numpy() + table["length"].to_numpy()
    assert ends.tolist() == [*table["offset"].to_pylist()[1:], path.stat().st_size]


@pytest.mark.shared
@pytest.mark.slow
def test_all_real_responses_are_documents() -> None:
    source = Source(name="s", format="warc", paths=[str(shared_data("web", "warc") / "*.warc.gz")])
    reasons = [
        reason
        for unit in plan_units(source)
        for table in UnitReader(unit, source)
        for reason in table["reason"].to_pylist()
    ]
    assert reasons.count(None) == 2842
    assert reasons.count("read.record_type") == len(reasons) - 2842


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["samples", "malformed"])
@pytest.mark.parametrize("format", ["warc", "wet", "jsonl", "text"])
def test_odd_and_broken_files_end_as_rows_in_each_reader(folder: str, format: str) -> None:
    source = Source(name="s", format=format, paths=[str(shared_data("web", folder) / "**" / "*")])  # type: ignore[arg-type]
    units = plan_units(source)
    assert len(units) >= 50
    for unit in units:
        table = pa.concat_tables(UnitReader(unit, source))
        assert table.num_rows > 0, unit.file
        assert pc.count_distinct(table["offset"]).as_py() == table.num_rows, unit.file
        assert set(table["reason"].drop_null().to_pylist()) <= set(DEFECTS), unit.file
        assert not pc.any(pc.and_(table["error"].is_valid(), table["reason"].is_null())).as_py(), unit.file

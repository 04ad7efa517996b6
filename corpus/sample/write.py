"""Writing the sample: WARC and WET files, what was planted, a block list and a recipe over them."""

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from corpus.sample import archive
from corpus.sample.grammar import LANGUAGES
from corpus.sample.pages import BROKEN, Maker, Page
from corpus.sample.sites import BLOCKED_HOSTS, render_plain
from manifests.errors import RecipeError, StorageError

NUM_SHARDS = 4
WET_RATIO = 1 / 6
# How the files of the first shards end; a reader loses nothing that comes before.
TAILS = ("truncated_member", "wrong_length", "garbage")
_CHUNK_BYTES = 1500
_GZIP_HEAD_BYTES = 10


@dataclass(frozen=True)
class Truth:
    """What was written. num_pages: responses and revisits in WARC; num_texts: conversions in WET; kinds: both."""

    num_pages: int
    num_texts: int
    num_bytes: int
    kinds: dict[str, int]
    languages: dict[str, int]


def write_sample(folder: str, seed: int = 7, num_pages: int = 2400) -> Truth:
    """Write the sample crawl into a folder that is made if it is not there; files of the same names are replaced.

    Writes `warc/sample-0000{0..3}.warc.gz`, `wet/sample-00000.warc.wet.gz`, `truth.jsonl`, `blocklist.txt` and
    `recipe.toml`. The same seed and number give the same bytes. num_pages: at least 200, so that every kind has room.
    Raises RecipeError for fewer, StorageError if the folder cannot be written.
    """
    if num_pages < 200:
        raise RecipeError(f"num_pages = {num_pages}: at least 200 pages are needed to hold every kind.")
    maker = Maker(seed, num_pages)
    pages = maker.pages()
    texts = list(maker.texts(round(num_pages * WET_RATIO), [page for page in pages if page.truth["kind"] == "article"]))
    shards = [pages[shard::NUM_SHARDS] for shard in range(NUM_SHARDS)]
    truth: list[dict[str, Any]] = []
    try:
        num_bytes = _write_warcs(Path(folder), shards, truth) + _write_wet(Path(folder), texts, truth)
        _write_text(Path(folder) / "truth.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in truth))
        _write_text(
            Path(folder) / "blocklist.txt", "# Hosts of invented spam sites.\n" + "\n".join(BLOCKED_HOSTS) + "\n"
        )
        recipe = resources.files("corpus.sample").joinpath("recipe.toml").read_text("utf-8")
        _write_text(Path(folder) / "recipe.toml", recipe)
    except OSError as error:
        raise StorageError(f"{folder}: the sample cannot be written: {error}. Choose a folder with space.") from error
    return Truth(
        num_pages=len(pages),
        num_texts=len(texts),
        num_bytes=num_bytes,
        kinds=dict(sorted(Counter(row["kind"] for row in truth).items())),
        languages={language: sum(row["language"] == language for row in truth) for language in LANGUAGES},
    )


def _write_warcs(folder: Path, shards: Sequence[Sequence[Page]], truth: list[dict[str, Any]]) -> int:
    num_bytes = 0
    for number, pages in enumerate(shards):
        name = f"sample-{number:05d}.warc.gz"
        tail = TAILS[number] if number < len(TAILS) else None
        members = [archive.gzip_member(archive.warcinfo(pages[0].date, name))]
        last = next(page for page in reversed(pages) if page.truth["kind"] == "article") if tail else None
        for page in pages:
            if page is not last:
                members += _page_members(page)
                truth.append({"url": page.url, "file": f"warc/{name}", **page.truth})
        if tail and last:
            members += _tail_members(last, tail)
            truth.append({"url": last.url, "file": f"warc/{name}", **last.truth, "kind": "broken", "damage": tail})
        num_bytes += _write_bytes(folder / "warc" / name, members)
    return num_bytes


def _write_wet(folder: Path, texts: Sequence[Page], truth: list[dict[str, Any]]) -> int:
    name = "sample-00000.warc.wet.gz"
    members = [archive.gzip_member(archive.warcinfo(texts[0].date, name))]
    for number, page in enumerate(texts):
        assert page.content is not None  # Maker.texts makes documents only
        text = render_plain(page.content, with_navigation=number % 2 == 1)
        language = page.truth["language"]
        members.append(archive.gzip_member(archive.conversion(page.url, page.date, text, language)))
        truth.append({"url": page.url, "file": f"wet/{name}", **page.truth})
    return _write_bytes(folder / "wet" / name, members)


def _page_members(page: Page) -> list[bytes]:
    """Request, response and metadata of a page, one gzip member each."""
    if page.truth["kind"] == "revisit":
        headers = [("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/server-not-modified")]
        block = archive.http_message(page.status, page.headers, b"")
        return [archive.gzip_member(archive.record("revisit", page.url, page.date, block, headers))]
    records = [
        archive.request(page.url, page.date),
        _response(page),
        archive.metadata(page.url, page.date, page.truth["language"]),
    ]
    return [archive.gzip_member(record) for record in records]


def _response(page: Page) -> bytes:
    return archive.response(page.url, page.date, _message(page), page.body)


def _message(page: Page) -> bytes:
    """The HTTP message; every third page comes packed or in chunks, as servers send them."""
    assert page.damage in (None, *BROKEN)
    if page.damage == "bad_gzip":
        packed = bytearray(archive.gzip_member(page.body))
        packed[_GZIP_HEAD_BYTES] = 0x07  # a last block of type 3, which deflate does not have
        return archive.http_message(page.status, [*page.headers, ("Content-Encoding", "gzip")], bytes(packed))
    if page.damage == "no_status_line":
        return b"\x00\x01\x02 connection reset\r\n\r\n" + page.body
    way = zlib.crc32(page.url.encode()) % 6
    if way == 0 and page.body:
        packed_body = archive.gzip_member(page.body)
        return archive.http_message(page.status, [*page.headers, ("Content-Encoding", "gzip")], packed_body)
    if way == 1 and page.body:
        headers = [*page.headers, ("Transfer-Encoding", "chunked")]
        return archive.http_message(page.status, headers, _chunked(page.body, whole=len(page.body) % 5 != 0))
    return archive.http_message(page.status, page.headers, page.body)


def _chunked(body: bytes, whole: bool) -> bytes:
    """The body in chunks; if not whole, the last chunk's size line is lost and the rest follows as it is."""
    parts = [body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES)]
    chunks = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts]
    if whole or len(parts) < 2:
        return b"".join([*chunks, b"0\r\n\r\n"])
    return b"".join([*chunks[:-1], parts[-1]])


def _tail_members(page: Page, tail: str) -> list[bytes]:
    """The last page of a file, damaged."""
    good = [archive.gzip_member(archive.request(page.url, page.date))]
    response = _response(page)
    if tail == "truncated_member":
        member = archive.gzip_member(response)
        return [*good, member[: len(member) // 2]]
    if tail == "wrong_length":
        length = len(_message(page)) // 2
        block = _message(page)
        headers = [("Content-Length", str(length)), ("Content-Type", "application/http; msgtype=response")]
        return [*good, archive.gzip_member(archive.record("response", page.url, page.date, block, headers))]
    return [*good, b"\x00garbage \xff\xfe between records " * 20]


def _write_bytes(path: Path, parts: Iterable[bytes]) -> int:
    data = b"".join(parts)
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(data)
    return len(data)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

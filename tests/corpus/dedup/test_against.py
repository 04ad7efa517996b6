"""Older corpora as an index, on the level of runs; whole corpora are built in tests/corpus/test_increments.py."""

import itertools
import random
from pathlib import Path

import pytest

from corpus.dedup.work import SignedUnit
from corpus.recipe import Dedup, MinHash
from tests.corpus.dedup.corpora import Units, build, rows, signed
from tests.corpus.dedup.test_stage import edited, text
from tests.reference.dedup import Document, duplicates

SMALL = MinHash(ngram=2, bands=12, rows=2, threshold=0.5)


def snapshots(seed: int) -> list[Units]:
    """Three snapshots of two units each, with dates that rise, of texts that come again, some with edits."""
    generator = random.Random(seed)
    found: list[Units] = []
    for year in (2022, 2023, 2024):
        units: Units = {}
        for unit in range(2):
            documents = []
            for _ in range(8):
                original = text(generator.randrange(6))
                for _ in range(generator.randrange(4)):
                    original = edited(original, generator.randrange(30))
                doc_id = f"{generator.getrandbits(128):032x}"
                date = f"{year}-0{generator.randint(1, 9)}-01"
                url = generator.choice([None, f"http://a.b/{generator.randrange(9)}"])
                documents.append(Document(doc_id, original, date, generator.randrange(3) / 2, url))
            units[f"{year}{unit:012x}"] = documents
        found.append(units)
    return found


def merged(parts: list[Units]) -> Units:
    return {unit_id: documents for units in parts for unit_id, documents in units.items()}


def kept(out: str, units: Units) -> set[str]:
    losers = {row["doc_id"] for table in rows(out, units).values() for row in table if row["kind"] != "keeper"}
    return {document.doc_id for documents in units.values() for document in documents} - losers


@pytest.mark.parametrize("seed", range(8))
def test_snapshots_one_by_one_keep_what_all_at_once_keep(tmp_path: Path, seed: int) -> None:
    config = Dedup(keep="earliest", normalized=True, url=True, minhash=SMALL)
    parts = snapshots(seed)
    whole = str(tmp_path / "whole")
    build(whole, merged(parts), config)
    together: set[str] = set()
    older: list[SignedUnit] = []
    for number, units in enumerate(parts):
        out = str(tmp_path / str(number))
        build(out, units, config, older=older)
        together |= kept(out, units)
        older += signed(units, out, f"snapshot-{number}")
    assert together == kept(whole, merged(parts))
    assert len(together) < 48  # there were duplicates


@pytest.mark.parametrize("keep", ["longest", "latest"])
def test_what_an_older_corpus_keeps_stays_whatever_the_policy_and_is_named(tmp_path: Path, keep: str) -> None:
    config = Dedup(keep=keep, url=True, minhash=SMALL)  # type: ignore[arg-type]
    first, second, _ = snapshots(3)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    build(old, first, config)
    build(new, second, config, older=signed(first, old, "old@1234"))
    stays = kept(old, first)
    keepers = [document for document in itertools.chain(*first.values()) if document.doc_id in stays]
    expected = duplicates(list(itertools.chain(*second.values())), config, keepers, "old@1234")
    found = {row["doc_id"]: row for table in rows(new, second).values() for row in table}
    assert found == expected
    assert any(row["kept_in"] == "old@1234" for row in found.values())


def test_every_copy_of_an_indexed_document_goes_and_one_of_each_other_stays(tmp_path: Path) -> None:
    a, b = text(1), text(2)
    index = {"old": [Document("0", a)]}
    new = {"new": [Document(str(number + 1), each) for number, each in enumerate([a, a, b, a, b])]}
    config = Dedup(minhash=SMALL)
    build(str(tmp_path / "old"), index, config)
    build(str(tmp_path / "new"), new, config, older=signed(index, str(tmp_path / "old"), "old"))
    assert kept(str(tmp_path / "new"), new) == {"3"}
    found = rows(str(tmp_path / "new"), new)["new"]
    assert [(row["doc_id"], row["kept_doc_id"], row["kept_in"]) for row in found] == [
        ("1", "0", "old"),
        ("2", "0", "old"),
        ("3", "3", None),
        ("4", "0", "old"),
        ("5", "3", None),
    ]


def test_duplicates_of_an_older_corpus_own_nothing(tmp_path: Path) -> None:
    # "2" is a duplicate of "1" there by its URL; its own text is in no corpus.
    index = {"old": [Document("1", text(1), url="http://a.b"), Document("2", text(2), url="http://a.b")]}
    new = {"new": [Document("3", text(2))]}
    config = Dedup(url=True)
    build(str(tmp_path / "old"), index, config)
    build(str(tmp_path / "new"), new, config, older=signed(index, str(tmp_path / "old"), "old"))
    assert kept(str(tmp_path / "old"), index) == {"1"}
    assert kept(str(tmp_path / "new"), new) == {"3"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (Dedup(url=True, normalized=True, minhash=SMALL), Dedup(minhash=SMALL)),
        (Dedup(minhash=SMALL), Dedup()),
    ],
)
def test_an_older_corpus_may_have_more_kinds_of_keys(tmp_path: Path, theirs: Dedup, ours: Dedup) -> None:
    first, second, third = snapshots(5)
    older: list[SignedUnit] = []
    for number, (units, config) in enumerate([(first, theirs), (second, ours)]):
        build(str(tmp_path / str(number)), units, config)
        older += signed(units, str(tmp_path / str(number)), f"{number}@1")
    build(str(tmp_path / "new"), third, ours, older=older)
    found = [row for table in rows(str(tmp_path / "new"), third).values() for row in table]
    assert {row["kept_in"] for row in found} & {"0@1", "1@1"}
    assert {row["kind"] for row in found} <= {"keeper", "exact", "near"}


def test_equal_ids_in_two_corpora_are_two_documents(tmp_path: Path) -> None:
    index = {"u": [Document("1", text(1)), Document("2", text(2))]}
    new = {"u": [Document("1", text(2)), Document("2", text(3)), Document("3", text(3))]}
    build(str(tmp_path / "old"), index, Dedup())
    build(str(tmp_path / "new"), new, Dedup(), older=signed(index, str(tmp_path / "old"), "old"))
    found = [(row["doc_id"], row["kept_doc_id"], row["kept_in"]) for row in rows(str(tmp_path / "new"), new)["u"]]
    assert found == [("1", "2", "old"), ("2", "2", None), ("3", "2", None)]


def test_64_bit_signatures_are_decided_as_by_brute_force(tmp_path: Path) -> None:
    config = Dedup(minhash=MinHash(ngram=2, bands=12, rows=2, threshold=0.5, scheme="affine64"))
    units = snapshots(1)[0]
    build(str(tmp_path), units, config)
    expected = duplicates(list(itertools.chain(*units.values())), config)
    assert {row["doc_id"]: row for table in rows(str(tmp_path), units).values() for row in table} == expected
    assert any(row["kind"] == "near" for row in expected.values())

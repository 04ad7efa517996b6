from pathlib import Path

import pytest
import zstandard

from corpus.recipe import Dedup, MinHash
from tests.corpus.dedup.corpora import build, rows
from tests.reference.dedup import Document
from tests.shared import shared_data


def articles(name: str) -> tuple[list[Document], set[frozenset[str]]]:
    """The documents, and the pairs of which one was made from the other."""
    folder = shared_data("web", "dedup")
    with zstandard.open(folder / f"{name}.train.zst", "rt", encoding="utf-8") as file:
        parts = [line.rstrip("\n").split(" ", 1) for line in file]
    pairs = (folder / f"{name}.truth").read_text("utf-8").splitlines()
    return [Document(doc_id, text) for doc_id, text in parts], {frozenset(pair.split()) for pair in pairs if pair}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["articles_100", "articles_2500"])
def test_all_made_pairs_and_no_others_are_found(tmp_path: Path, name: str) -> None:
    documents, truth = articles(name)
    units = {f"{number}": documents[number::3] for number in range(3)}
    build(str(tmp_path), units, Dedup(minhash=MinHash()))
    found = [row for table in rows(str(tmp_path), units).values() for row in table]
    pairs = {frozenset([row["doc_id"], row["kept_doc_id"]]) for row in found if row["kind"] != "keeper"}
    assert len(truth) > 0
    assert pairs == truth
    assert all(row["jaccard"] > 0.85 for row in found)

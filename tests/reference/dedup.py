"""The slow, obvious twin of corpus.dedup: everything in memory, every pair compared."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from corpus.recipe import Dedup
from filters.kernels.minhash import permutations
from tests.reference import minhash


@dataclass(frozen=True)
class Document:
    doc_id: str
    text: str
    date: str | None = None
    quality: float = 0.0

    @property
    def num_bytes(self) -> int:
        return len(self.text.encode())


def signature(text: str, config: Dedup) -> list[int] | None:
    """None where MinHash is off or no word is left."""
    settings = config.minhash
    shingles = minhash.shingle_hashes(text, settings.ngram) if settings else []
    if settings is None or not shingles:
        return None
    factors, summands = permutations(settings.bands * settings.rows, settings.seed)
    return minhash.signature(shingles, factors.tolist(), summands.tolist())


def are_linked(first: Document, second: Document, config: Dedup) -> bool:
    if config.exact and first.text == second.text:
        return True
    ours, theirs = signature(first.text, config), signature(second.text, config)
    if config.minhash is None or ours is None or theirs is None:
        return False
    rows = config.minhash.rows
    return any(ours[start : start + rows] == theirs[start : start + rows] for start in range(0, len(ours), rows))


def components(documents: list[Document], config: Dedup) -> list[list[Document]]:
    component = {document.doc_id: [document] for document in documents}
    for first, second in combinations(documents, 2):
        ours, theirs = component[first.doc_id], component[second.doc_id]
        if ours is not theirs and are_linked(first, second, config):
            ours += theirs
            component.update({document.doc_id: ours for document in theirs})
    unique = {id(members): members for members in component.values()}
    return [members for members in unique.values() if len(members) > 1]


def keeper(members: list[Document], keep: str) -> Document:
    def rank(document: Document) -> tuple[Any, ...]:
        policies: dict[str, tuple[Any, ...]] = {
            "longest": (-document.num_bytes,),
            "best_quality": (-document.quality,),
            "earliest": (document.date is None, document.date or ""),
        }
        return (*policies[keep], document.doc_id)

    return min(members, key=rank)


def row_of(document: Document, kept: Document, size: int, config: Dedup) -> dict[str, Any]:
    kind, jaccard = "keeper" if document is kept else "exact", 1.0
    if document.text != kept.text:
        ours, theirs = signature(document.text, config), signature(kept.text, config)
        assert ours is not None
        assert theirs is not None
        kind, jaccard = "near", sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)
    values = (document.doc_id, kept.doc_id, kind, jaccard, size)
    return dict(zip(("doc_id", "kept_doc_id", "kind", "jaccard", "component_size"), values, strict=True))


def duplicates(documents: list[Document], config: Dedup) -> dict[str, dict[str, Any]]:
    """A row of schemas.DUPLICATES for each document in a component of two or more, by doc_id."""
    keep = config.minhash.keep if config.minhash else "longest"
    rows = {}
    for members in components([document for document in documents if document.text], config):
        kept = keeper(members, keep)
        rows |= {document.doc_id: row_of(document, kept, len(members), config) for document in members}
    return rows

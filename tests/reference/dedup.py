"""The slow, obvious twin of corpus.dedup: everything in memory, each document compared with every keeper before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.dedup.dates import moment
from corpus.dedup.keys import normalized_url
from corpus.recipe import Dedup
from filters.kernels.minhash import permutations
from tests.reference import minhash


@dataclass(frozen=True)
class Document:
    doc_id: str
    text: str
    date: str | None = None
    quality: float = 0.0
    url: str | None = None

    @property
    def num_bytes(self) -> int:
        return len(self.text.encode())


def signature(text: str, config: Dedup) -> list[int] | None:
    """None where MinHash is off or no word is left."""
    settings = config.minhash
    shingles = minhash.shingle_hashes(text, settings.ngram) if settings else []
    if settings is None or not shingles:
        return None
    factors, summands = permutations(settings.bands * settings.rows, settings.seed, settings.scheme)
    return minhash.signature(shingles, factors.tolist(), summands.tolist(), settings.scheme)


def jaccard(first: Document, second: Document, config: Dedup) -> float | None:
    """Estimated from signatures; None where a document has none."""
    ours, theirs = signature(first.text, config), signature(second.text, config)
    if ours is None or theirs is None:
        return None
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)


def share_a_band(first: Document, second: Document, config: Dedup) -> bool:
    ours, theirs = signature(first.text, config), signature(second.text, config)
    if config.minhash is None or ours is None or theirs is None:
        return False
    rows = config.minhash.rows
    return any(ours[start : start + rows] == theirs[start : start + rows] for start in range(0, len(ours), rows))


def same_words(first: Document, second: Document) -> bool:
    words = minhash.folded_words(first.text)
    return bool(words) and words == minhash.folded_words(second.text)


def tie(first: Document, second: Document, config: Dedup) -> str | None:
    """The kind of the strongest tie between two documents."""
    if config.exact and first.text == second.text:
        return "exact"
    if config.normalized and same_words(first, second):
        return "normalized"
    urls = [normalized_url(document.url or "") for document in (first, second)]
    if config.url and urls[0] and urls[0] == urls[1]:
        return "url"
    if config.minhash is None or not share_a_band(first, second, config):
        return None
    estimate = jaccard(first, second, config)
    return "near" if estimate is not None and estimate >= config.minhash.threshold else None


def rank(document: Document, keep: str) -> tuple[Any, ...]:
    """The least is preferred."""
    when = moment(document.date)
    policies: dict[str, tuple[Any, ...]] = {
        "longest": (-document.num_bytes,),
        "best_quality": (-document.quality,),
        "earliest": (when is None, when or 0),
        "latest": (when is None, -(when or 0)),
    }
    return (policies[keep], document.doc_id)


def duplicates(
    documents: Sequence[Document], config: Dedup, older: Sequence[Document] = (), corpus: str | None = None
) -> dict[str, dict[str, Any]]:
    """Rows of schemas.DUPLICATES, `row` aside, by doc_id. older: the documents that an older corpus keeps."""
    order = sorted(older, key=lambda document: rank(document, config.keep))
    kept = list(order)
    found: dict[str, tuple[Document, str]] = {}
    strength = ["exact", "normalized", "url", "near"]
    for document in sorted(documents, key=lambda document: rank(document, config.keep)):
        if not document.text:
            continue
        ties = [(tie(document, keeper, config), place) for place, keeper in enumerate(kept)]
        best = min(((strength.index(kind), place) for kind, place in ties if kind), default=None)
        if best is None:
            kept.append(document)
        else:
            found[document.doc_id] = (kept[best[1]], strength[best[0]])
    sizes: dict[str, int] = {}
    for keeper, _ in found.values():
        sizes[keeper.doc_id] = sizes.get(keeper.doc_id, 1) + 1
    old = {document.doc_id for document in older}
    members = [(document, *found.get(document.doc_id, (document, "keeper"))) for document in documents]
    rows = {}
    for document, keeper, kind in members:
        if keeper.doc_id in sizes:
            same = kind in ("keeper", "exact", "normalized")
            estimate = 1.0 if same else jaccard(document, keeper, config)
            owner = corpus if keeper.doc_id in old else None
            values = (document.doc_id, keeper.doc_id, owner, kind, estimate, sizes[keeper.doc_id])
            names = ("doc_id", "kept_doc_id", "kept_in", "kind", "jaccard", "component_size")
            rows[document.doc_id] = dict(zip(names, values, strict=True))
    return rows

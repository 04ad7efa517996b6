"""What became of a document and why; which documents a training step saw, and which steps saw a document."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.facts import bounds_of
from corpus.read import read_record
from corpus.recipe import Recipe
from corpus.recipe_file import read_recipe
from corpus.texts import final_texts
from corpus.units import plan_units
from manifests import ledger, shards
from manifests.digest import unit_id
from manifests.errors import GristmillError, InputError
from trainer.config import CORPUS_OBJECTIVES
from trainer.data import Data, documents_of_step, open_run_data, steps_of_documents
from trainer.document_losses import read_losses
from trainer.run_files import RunFacts, read_metrics, read_run

TEXT_CHARS = 400


@dataclass(frozen=True)
class Explained:
    """One record: fate and lineage, every bounded score beside its limit, its component, and the start of its text.

    `again` tells what reading file, offset and length gives now: the number of characters of the record, or an error.
    """

    row: dict[str, Any]
    uri: str
    bounds: list[dict[str, Any]]
    component: list[dict[str, Any]]
    text: str
    again: str


def explain_document(out: str, document: str) -> list[Explained]:
    """All records with a document id or URL (recrawls share one). Raises InputError if there is none.

    Requests, metadata and the like, which an archive has beside a page under its URL, are left out if there is a page.
    """
    recipe = read_recipe(shards.join(out, "recipe.toml"))
    rows = ledger.find(out, document)
    pages = [row for row in rows if row["reason"] != "read.record_type"]
    return [_explain(out, recipe, row) for row in pages or rows]


def _explain(out: str, recipe: Recipe, row: dict[str, Any]) -> Explained:
    limits = []
    for bound in bounds_of(recipe):
        value = row.get(bound["column"])
        if value is not None:
            beyond = value < bound["limit"] if bound["side"] == "min" else value > bound["limit"]
            fails = beyond or (bound["exclusive"] and value == bound["limit"])
            limits.append({**bound, "value": value, "fails": fails})
    keeper = row["duplicate_of"] or row["doc_id"]
    members = ledger.component(out, keeper, row["duplicate_in"]) if row["component_size"] > 1 else []
    return Explained(row, _uri(recipe, row), limits, members, _text(out, row), _read_again(recipe, row))


def _uri(recipe: Recipe, row: dict[str, Any]) -> str:
    """Where the record's file lies now, or its name below the source where it cannot be found."""
    source = next(source for source in recipe.source if source.name == row["source"])
    try:
        return next(unit.uri for unit in plan_units(source) if unit.file == row["file"])
    except (StopIteration, GristmillError):
        return str(row["file"])


def _text(out: str, row: dict[str, Any]) -> str:
    """The first characters of the final text; none of a document that was taken out."""
    if row["fate"] == "removed":
        return ""
    for _, batch, text in final_texts(out, unit_id(row["source"], row["file"])):
        index = batch["doc_id"].index(row["doc_id"]).as_py()
        if index >= 0:
            return str(text[index].as_py())[:TEXT_CHARS]
    return ""


def _read_again(recipe: Recipe, row: dict[str, Any]) -> str:
    source = next(source for source in recipe.source if source.name == row["source"])
    try:
        table = read_record(_uri(recipe, row), source, row["offset"], row["length"])
    except GristmillError as error:
        return str(error)
    record = table.select(["url", "text", "error"]).to_pylist()[0]
    return record["error"] or f"the record is there, {len(record['text']):,} characters long"


def read_trained(run: str) -> tuple[RunFacts, Data, int]:
    """A run, its data and the number of its last step; 0 before the first.

    Raises InputError if the data is not there, ManifestMismatch if it is not as it was.
    """
    facts = read_run(run)
    data = open_run_data(facts)
    return facts, data, max((metrics["step"] for metrics in read_metrics(run)), default=0)


def explain_step(run: str, step: int) -> list[dict[str, Any]]:
    """The documents of a training step, in row order: where each comes from, and its loss before the step's update.

    row, segment_start, num_tokens, doc_id, source, file, and of a corpus offset and url, of examples line; num_targets,
    loss (nats per target) and bits_per_byte, null where the run has not written them. Steps count from 1. Raises
    InputError for a step that the run has not done.
    """
    facts, data, done = read_trained(run)
    if not 1 <= step <= done:
        raise InputError(f"{run}: has no step {step}; the run has done steps 1 to {done}.")
    seen = documents_of_step(data, step)
    where = _of_corpora(data, seen) if facts.config.objective in CORPUS_OBJECTIVES else _of_examples(data, seen)
    losses = _Losses(run, [step])
    documents = []
    for entry in seen:
        parts = zip(entry["segment_doc"], entry["segment_start"], entry["segment_length"], strict=True)
        for doc, start, length in parts:
            place = {"row": entry["row"], "segment_start": start, "num_tokens": length}
            documents.append(place | where[entry["path"], doc] | losses.next(step, entry["row"], doc))
    return documents


Lineage = dict[tuple[str, str], dict[str, Any]]  # by path of the data, and document id


def _of_corpora(data: Data, seen: list[dict[str, Any]]) -> Lineage:
    found: Lineage = {}
    for path in data.paths:
        ids = sorted({doc for entry in seen if entry["path"] == path for doc in entry["segment_doc"]})
        rows = ledger.lookup(path, ids, ["doc_id", "source", "file", "offset", "url"]) if ids else {}
        found |= {(path, doc): row for doc, row in rows.items()}
    return found


def _of_examples(data: Data, seen: list[dict[str, Any]]) -> Lineage:
    paths = dict(zip(data.sources, data.paths, strict=True))
    return {
        (entry["path"], doc): {"doc_id": doc, "source": source, "file": paths[source], "line": _line(doc)}
        for entry in seen
        for doc, source in zip(entry["segment_doc"], entry["segment_source"], strict=True)
    }


def _line(document: str) -> int:
    return int(document.rsplit(":", 1)[1])


class _Losses:
    """What losses/ has of some steps. The parts of a row come in their order, as often as the step read the row."""

    def __init__(self, run: str, steps: Sequence[int]) -> None:
        self.parts: dict[tuple[int, int, str], deque[dict[str, Any]]] = defaultdict(deque)
        for part in read_losses(run, steps).to_pylist():
            self.parts[part["step"], part["row"], part["doc_id"]].append(part)

    def next(self, step: int, row: int, document: str) -> dict[str, Any]:
        """num_targets, loss and bits_per_byte of the next part of a document in a row; None where not written."""
        parts = self.parts[step, row, document]
        part = parts.popleft() if parts else {}
        return {name: part.get(name) for name in ("num_targets", "loss", "bits_per_byte")}


@dataclass(frozen=True)
class Seen:
    """When a run read a document. last_step: that the run has done; documents: where it comes from, and its fate.

    steps: step, row, doc_id, segment_start, num_targets, loss, bits_per_byte of each time that a part of it was read.
    """

    last_step: int
    documents: list[dict[str, Any]]
    steps: list[dict[str, Any]]


def explain_seen(run: str, document: str) -> Seen:
    """The steps that read a document: an id or URL in the run's corpora, or file:line of its examples.

    Found in closed form from the order of training. Raises InputError if there is no such document.
    """
    facts, data, done = read_trained(run)
    of_corpora = facts.config.objective in CORPUS_OBJECTIVES
    documents = _records(data, document) if of_corpora else [_example(data, document)]
    ids = sorted({record["doc_id"] for record in documents if record.get("fate", "kept") == "kept"})
    read = steps_of_documents(data, done, ids)
    losses = _Losses(run, [part["step"] for part in read])
    return Seen(done, documents, [part | losses.next(part["step"], part["row"], part["doc_id"]) for part in read])


def _records(data: Data, document: str) -> list[dict[str, Any]]:
    """The records of an id or URL in all corpora of a run."""
    names = ("doc_id", "source", "file", "offset", "url", "fate", "reason")
    found, missing = [], None
    for path in data.paths:
        try:
            rows = ledger.find(path, document)
        except InputError as error:
            missing = error
            continue
        pages = [row for row in rows if row["reason"] != "read.record_type"] or rows
        found += [{"corpus": path, **{name: row[name] for name in names}} for row in pages]
    if not found and missing is not None:
        raise missing
    return found


def _example(data: Data, document: str) -> dict[str, Any]:
    readers = [reader for reader in (data.train, data.validation) if reader is not None]
    if not any(len(reader.find([document])) for reader in readers):
        raise InputError(
            f"{', '.join(data.paths)}: no example is {document!r}. Give file:line, as {data.sources[0]}:1."
        )
    source = document.rsplit(":", 1)[0]
    return {
        "doc_id": document,
        "source": source,
        "file": data.paths[data.sources.index(source)],
        "line": _line(document),
    }

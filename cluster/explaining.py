"""What became of a document and why; which documents a training step saw."""

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
from manifests.errors import GristmillError, InputError, RecipeError
from trainer.config import CORPUS_OBJECTIVES
from trainer.data import Data, documents_of_step, open_data
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

    Raises InputError if the data is not there as it was.
    """
    facts = read_run(run)
    data = open_data(facts.paths, facts.config)
    if data.digest != facts.digest:
        raise InputError(
            f"{', '.join(facts.paths)}: the digest is {data.digest[:16]}…, the run was trained from "
            f"{facts.digest[:16]}…: the data was built again since. Give the data of the run."
        )
    return facts, data, max((metrics["step"] for metrics in read_metrics(run)), default=0)


def explain_step(run: str, step: int) -> list[dict[str, Any]]:
    """The documents of a training step, in row order, with source, file, offset and URL of each.

    Steps count from 1. Raises InputError for a step that the run has not done, RecipeError for a run on examples.
    """
    facts, data, done = read_trained(run)
    if not 1 <= step <= done:
        raise InputError(f"{run}: has no step {step}; the run has done steps 1 to {done}.")
    if facts.config.objective not in CORPUS_OBJECTIVES:
        raise RecipeError(f"{run}: was tuned on examples, whose documents have no lineage: see the lines of its files.")
    seen = documents_of_step(data, step)
    names = ["doc_id", "source", "file", "offset", "url"]
    rows = {}
    for path in data.paths:
        ids = sorted({doc for entry in seen if entry["path"] == path for doc in entry["segment_doc"]})
        rows[path] = ledger.lookup(path, ids, names) if ids else {}
    documents = []
    for entry in seen:
        for doc, length in zip(entry["segment_doc"], entry["segment_length"], strict=True):
            documents.append({"row": entry["row"], "num_tokens": length, **rows[entry["path"]][doc]})
    return documents

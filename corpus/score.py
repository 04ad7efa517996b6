"""The map over units: read, extract, normalize, measure, decide, edit, and sort signatures into runs.

A unit is one fused chain in one task, in batches of about 16 MiB of text; only scores and signatures of a whole unit
are held. What a former run left is used again as far as the recipe's changes allow: texts if only filters changed,
scores if only thresholds changed, everything if nothing did.
"""

import contextlib
import functools
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import stage
from corpus.commits import Found, Record, find_wanted, write_commit
from corpus.dedup.signatures import RunWriter
from corpus.extract import extract
from corpus.normalize import normalize
from corpus.read import UnitReader
from corpus.recipe import Dedup, Recipe, Source
from corpus.rows import RowReader, SparseRows
from corpus.units import Unit
from filters.base import Documents
from manifests import schemas, shards
from manifests.digest import digest_json
from manifests.shards import FileEntry, TableWriter

# Raise a number when the bytes that its step writes change for an unchanged recipe.
STEP_VERSIONS = {"text": 4, "scores": 3, "decisions": 2, "runs": 3}
# Libraries whose version decides bytes: another version redoes the step.
SCORE_LIBRARIES = {
    "c4": ("ahocorasick_rs",),
    "perplexity": ("kenlm", "sentencepiece"),
    "pii": ("phonenumbers", "publicsuffixlist", "python-stdnum"),
    "refinedweb_urls": ("publicsuffixlist",),
    "toxicity": ("ahocorasick_rs",),
    "url": ("publicsuffixlist",),
}


@dataclass(frozen=True)
class StepDigests:
    """What decides the bytes of each step of a unit; each covers the ones before it."""

    text: str
    scores: str
    decisions: str
    runs: str


def step_digests(recipe: Recipe, source: Source) -> StepDigests:
    """Digests of the steps for the units of one source."""
    facts = source.model_dump(mode="json", exclude={"paths", "licence"})
    text = digest_json(
        [
            STEP_VERSIONS["text"],
            versions(text_libraries(recipe, source)),
            facts,
            recipe.extract.model_dump(mode="json") if source.format == "warc" else None,
            recipe.normalize.model_dump(mode="json", context={"files": "digest"}),
        ]
    )
    measuring = [[rule.rule, rule.measuring()] for rule in stage.chain(recipe)]
    deciding = [[rule.rule, rule.model_dump(mode="json", context={"files": "digest"})] for rule in stage.chain(recipe)]
    both = [measuring, deciding] if recipe.short_circuit else measuring
    scores = digest_json([STEP_VERSIONS["scores"], versions(score_libraries(recipe)), text, recipe.short_circuit, both])
    decisions = digest_json([STEP_VERSIONS["decisions"], scores, deciding])
    runs = digest_json([signing_versions(recipe.dedup), decisions, recipe.dedup.signing()])
    return StepDigests(text, scores, decisions, runs)


def signing_versions(config: Dedup) -> dict[str, str]:
    """What decides the bytes of signatures and keys beside the recipe: corpora with other ones cannot be compared."""
    return {"signatures": str(STEP_VERSIONS["runs"]), **(versions(("w3lib",)) if config.url else {})}


def text_libraries(recipe: Recipe, source: Source) -> tuple[str, ...]:
    """The distributions that read and extract a source; pyarrow writes every file."""
    used = {"warc": ("fastwarc", recipe.extract.method), "wet": ("fastwarc",)}
    return ("pyarrow", *used.get(source.format, ()))


def score_libraries(recipe: Recipe) -> tuple[str, ...]:
    """The distributions whose version decides what the recipe's filters measure; spaCy and NLTK are in `measuring`."""
    used = {name for rule in stage.chain(recipe) for name in SCORE_LIBRARIES.get(rule.rule, ())}
    return tuple(sorted(used))


@functools.cache
def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the installed ones of these distributions, and of Python's Unicode data."""
    found = {"unicode": unicodedata.unidata_version}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def unit_folder(unit_id: str) -> str:
    """Folder of a unit below the corpus."""
    return f"units/{unit_id}"


def score_unit(recipe: Recipe, out: str, item: dict[str, Any]) -> Record:
    """Task: bring one unit (item["unit"], the fields of a Unit) up to date.

    Returns its commit record, and as `damaged` what was wrong with files of an earlier run, which are made again.
    Raises InputError if the file cannot be opened; broken records and tails are rows, not errors.
    """
    unit = Unit(**item["unit"])
    source = next(source for source in recipe.source if source.name == unit.source)
    wanted = step_digests(recipe, source)
    commit_uri = shards.join(out, unit_folder(unit.unit_id), "commit.json")
    old, damaged = reusable(out, commit_uri, unit)
    if old is not None and old["digest"] == wanted.runs:
        return {**old, "reused": True}
    return {**_UnitJob(recipe, out, unit, source, wanted, old).run(commit_uri), "damaged": damaged}


def reusable(out: str, commit_uri: str, unit: Unit) -> Found:
    """What an earlier run left of the unit; its record only if it is of the same input."""
    if unit.mark == "":  # size alone does not tell a changed file
        return Found(None, [])
    same = (unit.num_bytes, unit.mark)
    return find_wanted(out, commit_uri, lambda old: (old["unit"]["num_bytes"], old["unit"]["mark"]) == same)


class _UnitJob:
    """One run over one unit."""

    def __init__(
        self, recipe: Recipe, out: str, unit: Unit, source: Source, wanted: StepDigests, old: Record | None
    ) -> None:
        self.recipe, self.out, self.unit, self.source, self.wanted = recipe, out, unit, source, wanted
        self.folder = unit_folder(unit.unit_id)
        steps = {} if old is None else old["steps"]
        self.have_text = steps.get("text") == wanted.text
        self.have_scores = self.have_text and steps.get("scores") == wanted.scores
        self.old = old
        self._made: list[FileEntry] = []
        self.input = {} if old is None or not self.have_text else old["input"]

    def run(self, commit_uri: str) -> Record:
        """Do what is missing and write the commit record last."""
        self._keep_what_stays(commit_uri)
        runs = RunWriter(self._uri(""), self.recipe.dedup)
        decisions = self._writer("decisions.parquet", stage.DECISIONS)
        tally = _Tally()
        first_row = 0
        with decisions:
            for batch, measured in self._measured():
                decided = stage.decide(batch, measured.scores, self.recipe)
                decisions.write(decided)
                self._add_runs(runs, batch, measured, decided, first_row)
                tally.add(decided, measured.scores)
                first_row += batch.num_rows
        made = [*self._made, *([decisions.entry] if decisions.entry else [])]
        files = made + [_below(self.folder, entry) for entry in runs.finish()]
        facts = {"unit": asdict(self.unit), "input": self.input, "steps": asdict(self.wanted), **asdict(tally)}
        return write_commit(commit_uri, self.wanted.runs, files, **facts)

    def _keep_what_stays(self, commit_uri: str) -> None:
        """From here on the old record no longer describes the folder; texts and scores that stay survive a crash."""
        if not self.have_text:
            shards.remove(commit_uri)
            return
        names, steps = ["documents.parquet"], {"text": self.wanted.text}
        if self.have_scores:
            names += ["edits.parquet", "scores.parquet"]
            steps["scores"] = self.wanted.scores
        write_commit(commit_uri, "", self._old_files(*names), unit=asdict(self.unit), input=self.input, steps=steps)

    def _measured(self) -> Iterator[tuple[pa.Table, stage.Measured]]:
        """Batches of records with their scores and final texts, from disk as far as they are there."""
        if self.have_scores:
            self._made += self._old_files("documents.parquet", "edits.parquet", "scores.parquet")
            stored = RowReader(self._uri("scores.parquet"))
            for _, batch, text in stored_texts(self._uri("")):
                yield batch, stage.Measured(stored.take(batch.num_rows), text)
            return
        edits = self._writer("edits.parquet", stage.EDITS)
        scores = self._writer("scores.parquet", stage.scores_schema(self.recipe))
        first_row = 0
        with edits, scores:
            for batch in self._texts():
                measured = stage.measure(batch, self.recipe)
                edits.write(stage.edits(batch["text"].combine_chunks(), measured.text, first_row))
                scores.write(measured.scores)
                yield batch, measured
                first_row += batch.num_rows
        self._made += [entry for entry in (edits.entry, scores.entry) if entry is not None]

    def _texts(self) -> Iterator[pa.Table]:
        """Batches of normalized records: stored ones, or read from the input and stored on the way."""
        if self.have_text:
            self._made += self._old_files("documents.parquet")
            yield from shards.row_groups(self._uri("documents.parquet"))
            return
        reader = UnitReader(self.unit, self.source)
        writer = self._writer("documents.parquet", schemas.RECORD)
        with writer:
            for batch in reader:
                texts = extract(batch, self.recipe.extract.method) if self.source.format == "warc" else batch
                texts = normalize(texts, self.recipe.normalize)
                writer.write(texts)
                yield texts
        self._made += [writer.entry] if writer.entry else []
        self.input = {"sha256": reader.sha256, "num_bytes": reader.num_bytes, "num_records": writer.num_rows}

    def _old_files(self, *names: str) -> list[FileEntry]:
        assert self.old is not None
        wanted = [f"{self.folder}/{name}" for name in names]
        return [FileEntry(**entry) for entry in self.old["files"] if entry["path"] in wanted]

    def _add_runs(
        self, runs: RunWriter, batch: pa.Table, measured: stage.Measured, decided: pa.Table, first_row: int
    ) -> None:
        kept = np.flatnonzero(pc.equal(decided["fate"], "kept").to_numpy(zero_copy_only=False))
        if not len(kept):
            return
        taken = pa.array(kept)
        quality = self.recipe.dedup.quality
        scores = measured.scores.take(taken)
        values = scores[quality] if quality else pa.array(np.zeros(len(kept)))
        facts = pa.table(
            {
                "doc_id": batch["doc_id"].take(taken),
                "num_bytes": scores["text.num_bytes"],
                "date": batch["date"].take(taken),
                "quality": pc.fill_null(values.cast(pa.float64()), -math.inf),
            }
        )
        table = pa.table(
            {"doc_id": facts["doc_id"], "url": batch["url"].take(taken), "text": measured.text.take(taken)}
        )
        runs.add(Documents(table), (kept + first_row).astype(np.uint32), facts)

    def _uri(self, name: str) -> str:
        return shards.join(self.out, self.folder, name) if name else shards.join(self.out, self.folder)

    def _writer(self, name: str, schema: pa.Schema) -> TableWriter:
        return TableWriter(self._uri(name), schema, path=f"{self.folder}/{name}")


@dataclass
class _Tally:
    """What a unit's commit record counts: records by fate and reason, documents, bytes of kept texts."""

    fates: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    num_documents: int = 0
    kept_bytes: int = 0

    def add(self, decided: pa.Table, scores: pa.Table) -> None:
        for column, counts in (("fate", self.fates), ("reason", self.reasons)):
            for pair in pc.value_counts(decided[column].drop_null()).to_pylist():
                counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
        sizes = scores["text.num_bytes"]
        self.num_documents += len(sizes) - sizes.null_count
        self.kept_bytes += pc.sum(pc.if_else(pc.equal(decided["fate"], "kept"), sizes, 0)).as_py() or 0


def stored_texts(unit_uri: str) -> Iterator[tuple[int, pa.Table, pa.Array]]:
    """The records of a unit from disk: first row, batch (schema RECORD), and the final texts with edits applied."""
    edits = SparseRows(shards.join(unit_uri, "edits.parquet"))
    first_row = 0
    for batch in shards.row_groups(shards.join(unit_uri, "documents.parquet")):
        edited = edits.between(first_row, first_row + batch.num_rows)
        text = batch["text"].combine_chunks()
        yield first_row, batch, _with_edits(text, edited, first_row) if edited.num_rows else text
        first_row += batch.num_rows


def _with_edits(text: pa.Array, edited: pa.Table, first_row: int) -> pa.Array:
    mask = np.zeros(len(text), bool)
    mask[edited["row"].to_numpy().astype(np.int64) - first_row] = True
    return pc.replace_with_mask(text, pa.array(mask), edited["text"].combine_chunks())


def _below(folder: str, entry: FileEntry) -> FileEntry:
    return FileEntry(f"{folder}/{entry.path}", entry.rows, entry.bytes, entry.sha256)

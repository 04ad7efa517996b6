"""Check a finished corpus: every digest, every count, and that no record was lost on the way."""

from dataclasses import dataclass, field

import polars as pl
import pyarrow.compute as pc

from corpus.commits import check_entry
from corpus.removed import removed_file
from manifests import ledger, lock, shards
from manifests.errors import IntegrityError
from manifests.manifest import NAME, Manifest, read_manifest
from manifests.schemas import LINES_FOLDER
from manifests.shards import FileEntry


@dataclass
class Verified:
    """What was checked; `problems` is empty for a sound corpus."""

    num_files: int = 0
    num_bytes: int = 0
    num_records: int = 0
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: bool, problem: str) -> None:
        """Note a problem unless the condition holds."""
        if not holds:
            self.problems.append(problem)


def verify(out: str) -> Verified:
    """Check digests of all files, then counts; raises IntegrityError only for a manifest that cannot be read."""
    manifest = read_manifest(out)
    result = Verified()
    result.expect(
        manifest.sealed().digest == manifest.digest, f"{out}/manifest.json: its digest is not of its content."
    )
    for file in [*manifest.shards, *manifest.files, *manifest.side_files]:
        try:
            check_entry(out, FileEntry(file.path, file.rows, file.bytes, file.sha256))
        except IntegrityError as error:
            result.problems.append(str(error))
        result.num_files += 1
        result.num_bytes += file.bytes
    known = {file.path for file in [*manifest.shards, *manifest.files, *manifest.side_files]} | {NAME, lock.NAME}
    strange = [path for path in shards.list_files(out) if path not in known]
    result.expect(not strange, f"{out}: files that no manifest lists: {', '.join(strange[:5])}.")
    if not result.problems:  # counts of damaged files would only repeat the damage
        _check_counts(out, manifest, result)
    return result


def _check_bytes(out: str, manifest: Manifest, result: Verified) -> None:
    """Bytes that filters left = bytes in the end + those of removed lines, which are listed; kept ones are encoded."""
    frame = ledger.scan(out)
    counts = [pl.col(name).sum() for name in ("num_bytes", "num_lines_removed", "num_line_bytes_removed")]
    before = pl.col("text.num_bytes").fill_null(0).sum()
    kept = pl.col("num_bytes").filter(pl.col("fate") == "kept").sum().alias("kept")
    num_before, num_left, num_lines, num_removed, num_kept = (
        frame.select(before, *counts, kept).collect(engine="streaming").row(0)
    )
    problem = f"{out}: filters left {num_before} bytes of text, the ledger has {num_left} and removed {num_removed}."
    result.expect(num_before == num_left + num_removed, problem)
    columns = ["num_lines_removed", "num_bytes_removed"]
    listed = _sums(out, [file.path for file in manifest.files if file.path.startswith(f"{LINES_FOLDER}/")], columns)
    problem = f"{out}: the ledger counts {num_lines} removed lines of {num_removed} bytes, listed are {listed}."
    result.expect(listed == [num_lines, num_removed], problem)
    (encoded,) = _sums(out, [shard.path for shard in manifest.shards if shard.kind == "tokens"], ["num_bytes"])
    problem = f"{out}: kept documents have {num_kept} bytes of text, the token shards encode {encoded}."
    result.expect(encoded == num_kept, problem)


def _sums(out: str, paths: list[str], columns: list[str]) -> list[int]:
    tables = [shards.read_table(shards.join(out, path), columns) for path in paths]
    return [sum(pc.sum(table[column]).as_py() or 0 for table in tables) for column in columns]


def _check_counts(out: str, manifest: Manifest, result: Verified) -> None:
    """Conservation: records read = kept + dropped + duplicate + failed + removed, in each unit; tokens, rows add up."""
    frame = ledger.scan(out)
    per_unit = frame.group_by("source", "file").len().collect(engine="streaming")
    found = {(source, file): number for source, file, number in per_unit.iter_rows()}
    for unit in manifest.units:
        rows = found.pop((unit.source, unit.file), 0)
        problem = f"{unit.source}/{unit.file}: {unit.num_records} records were read, the ledger has {rows}."
        result.expect(rows == unit.num_records, problem)
        result.num_records += rows
    result.expect(not found, f"the ledger has records of files that are no units: {sorted(found)[:3]}.")
    counts = ledger.counts(out)
    result.expect(counts == manifest.counts, f"{out}: the ledger's counts are not the manifest's.")
    num_removed = counts["fate"].get("removed", 0)
    lists = {removed_file(unit.unit_id) for unit in manifest.units}
    listed = sum(file.rows for file in manifest.files if file.path in lists)
    result.expect(num_removed == listed, f"{out}: {listed} documents were taken out, the ledger has {num_removed}.")
    twice = frame.select(pl.len() - pl.col("doc_id").n_unique()).collect(engine="streaming").item()
    result.expect(twice == 0, f"{out}: {twice} ledger rows repeat a document id.")
    _check_bytes(out, manifest, result)
    tokens = sum(shard.tokens for shard in manifest.shards if shard.kind == "tokens")
    kept = (
        frame.filter(pl.col("fate") == "kept").select(pl.len(), pl.col("num_tokens").sum()).collect(engine="streaming")
    )
    num_kept, num_tokens = kept.row(0)
    documents = sum(shard.rows for shard in manifest.shards if shard.kind == "tokens")
    result.expect(documents == num_kept, f"{out}: {num_kept} documents are kept, the token shards hold {documents}.")
    result.expect(tokens == num_tokens, f"{out}: the ledger counts {num_tokens} tokens, the token shards {tokens}.")
    packed = sum(shard.tokens for shard in manifest.shards if shard.kind == "packed")
    ends = documents  # each document ends with one end-of-text token in the packed rows
    result.expect(packed == tokens + ends, f"{out}: packed rows hold {packed} tokens, expected {tokens + ends}.")

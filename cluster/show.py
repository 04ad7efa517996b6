"""Results as text for a terminal. Text from documents goes through `plain`: no markup, no control characters."""

import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # the command line starts without loading what only some commands need
    from cluster.doctor import Check
    from cluster.explaining import Explained, Seen
    from cluster.removing import Removed
    from corpus.diff import Difference
    from corpus.verify import Verified
    from corpus.whatif import WhatIf
    from manifests.manifest import Manifest


# Wide enough that ids and URLs stay whole where nobody watches: piped output is for grep and copying.
PIPED_WIDTH = 400
MAX_ROWS = 20  # of what a removal concerns


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for whole ids and URLs if it is piped."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


def plain(value: object, max_chars: int = 300) -> Text:
    """A value as it is: rich markup and terminal escapes in it do nothing."""
    text = "".join(char if char.isprintable() or char == "\n" else " " for char in str(value))
    return Text(text if len(text) <= max_chars else text[:max_chars] + "…")


def table(title: str, rows: list[dict[str, Any]], columns: list[str] | None = None) -> Table:
    """Rows as a table; numbers to the right, with thousands separators."""
    names = columns or (list(rows[0]) if rows else [])
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        numeric = all(isinstance(row.get(name), (int, float)) for row in rows)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(plain(number(row.get(name))) for name in names))
    return made


def number(value: object) -> str:
    """12345 as 12,345; floats with four significant digits; None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.4g}"


def manifest(console: Console, out: str, made: "Manifest") -> None:
    """What a build ends with."""
    from manifests.schemas import FATES

    fates = dict(made.counts["fate"])
    records = sum(fates.values())
    beside = made.counts["reason"].get("read.record_type", 0)
    fates["dropped"] = fates.get("dropped", 0) - beside
    pages = ", ".join(f"{fates.get(fate, 0):,} {fate}" for fate in FATES if fate in fates or fate != "removed")
    note = f" ({beside:,} requests, metadata and the like)" if beside else ""
    console.print(plain(f"{made.name}: {records:,} records{note}; of {records - beside:,} pages and texts {pages}"))
    if older := made.counts["duplicate_in"]:
        console.print(plain(f"{_documents(sum(older.values()))} lost to older corpora: {_listed(older)}"))
    packing = made.packing
    console.print(
        plain(
            f"{packing.num_tokens:,} tokens with ends of documents, {packing.num_rows:,} rows of {packing.length} + 1 "
            f"({packing.efficiency:.1%} full, {packing.num_validation_rows:,} rows for validation)"
        )
    )
    seconds = made.run.get("seconds", {})
    console.print(plain("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())))
    console.print(plain(f"digest {made.digest}"))
    console.print(plain(f"report {out.rstrip('/')}/report.html"))


def report(console: Console, out: str, content: dict[str, Any]) -> None:
    """The headline of report.json."""
    console.print(table("records by fate", _pairs(content["counts"]["fate"], "fate")))
    console.print(table("not kept, by reason", _pairs(content["counts"]["reason"], "reason")))
    if older := content["counts"]["duplicate_in"]:
        console.print(table("lost to older corpora", _pairs(older, "corpus")))
    console.print(table("kept, by language", _pairs(content["counts"]["kept_language"], "language")))
    console.print(plain(f"report {out.rstrip('/')}/report.html"))


def _documents(num_documents: int) -> str:
    return f"{num_documents:,} document{'' if num_documents == 1 else 's'}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _pairs(counts: dict[str, int], name: str) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{name: key, "documents": value} for key, value in ranked]


def verified(console: Console, out: str, result: "Verified") -> None:
    """The verdict of verify."""
    for problem in result.problems:
        console.print(plain(f"PROBLEM {problem}", 1000), soft_wrap=True)
    checked = f"{result.num_files:,} files, {result.num_bytes:,} bytes, {result.num_records:,} records"
    verdict = f"{len(result.problems)} problems" if result.problems else "sound"
    console.print(plain(f"{out}: {verdict} ({checked})"))


def explained(console: Console, records: "list[Explained]") -> None:
    """Fate, scores against thresholds, duplicates and lineage of each record."""
    for record in records:
        row = record.row
        why = f" ({row['reason']})" if row["reason"] else ""
        console.print(plain(f"document {row['doc_id']}  {row['fate']}{why}"))
        console.print(plain(f"url      {row['url']}  {row['date'] or ''}", 1000), soft_wrap=True)
        place = f"record   {record.uri} offset {row['offset']} length {row['length']} (source {row['source']})"
        console.print(plain(place, 1000), soft_wrap=True)
        console.print(plain(f"re-read  {record.again}"))
        if row["language.label"]:
            console.print(plain(f"language {row['language.label']} ({number(row['language.score'])})"))
        if row["error"]:
            console.print(plain(f"error    {row['error']}"))
        if row["duplicate_in"]:
            console.print(plain(f"keeper   {row['duplicate_of']} in the older corpus {row['duplicate_in']}"))
        if row["num_lines_removed"]:
            lost = f"{number(row['num_lines_removed'])} ({number(row['num_line_bytes_removed'])} bytes)"
            console.print(plain(f"lines    {lost} removed: earlier documents have them"))
        for name, value in row.items():  # measures that are words, such as the item of decontaminate
            if "." in name and isinstance(value, str) and value and name != "language.label":
                console.print(plain(f"{name} {value}"))
        if record.bounds:
            rows = [
                {
                    "score": bound["column"],
                    "value": bound["value"],
                    "limit": f"{passing_sign(bound)} {number(bound['limit'])}",
                    "": "REJECTS" if bound["fails"] else "",
                }
                for bound in record.bounds
            ]
            console.print(table("scores against thresholds", rows))
        if record.component:
            console.print(table("duplicates (keeper first)", record.component))
        if record.text:
            console.print(plain(record.text, 400), soft_wrap=True)
        console.print()


def passing_sign(bound: dict[str, Any]) -> str:
    """The sign between a value that passes and its limit."""
    return (">" if bound["side"] == "min" else "<") + ("" if bound["exclusive"] else "=")


def step(console: Console, number_of_step: int, documents: list[dict[str, Any]]) -> None:
    """The documents of a training step, with their losses where the run has written them."""
    place = ["line"] if "line" in documents[0] else ["offset", "url"]
    columns = ["row", "num_tokens", "loss", "bits_per_byte", "doc_id", "source", "file", *place]
    console.print(table(f"step {number_of_step}: {len(documents)} segments", documents, columns))


def seen(console: Console, result: "Seen") -> None:
    """Where a document comes from, and the steps that read it."""
    console.print(table("document", result.documents))
    title = f"read {len(result.steps):,} times in steps 1 to {result.last_step:,}"
    columns = ["step", "row", "doc_id", "segment_start", "num_targets", "loss", "bits_per_byte"]
    console.print(table(title, result.steps, columns))


def whatif(console: Console, result: "WhatIf") -> None:
    """Kept before and after."""
    total = result.total
    console.print(
        plain(
            f"kept {total['kept_before']:,} -> {total['kept_after']:,} documents, "
            f"{total['tokens_before']:,} -> about {total['tokens_after']:,} tokens"
        )
    )
    console.print(table("by language", result.by_language))
    console.print(table("by source", result.by_source))
    _changes(console, result.changes, result.samples)


def difference(console: Console, result: "Difference") -> None:
    """Two corpora side by side."""
    for name, pair in (("digest", result.digests), ("recipe digest", result.recipe_digests)):
        same = "the same" if pair[0] == pair[1] else "different"
        console.print(plain(f"{name}: {same} ({pair[0][:16]}… and {pair[1][:16]}…)"))
    console.print(table("records by fate", result.counts))
    _changes(console, result.changes, result.samples)


def _changes(console: Console, changes: list[dict[str, Any]], samples: list[dict[str, Any]]) -> None:
    if not changes:
        console.print("no document changes its fate")
        return
    console.print(table("what changes", changes, ["before", "after", "documents"]))
    console.print(table("samples", samples, ["doc_id", "url", "before", "after"]))


def removed(console: Console, result: "Removed") -> None:
    """What was taken out, what came of it, and where it had been."""
    for line in result.not_found:
        console.print(plain(f"not found: {line}", 1000), soft_wrap=True)
    by_reason = _listed(result.num_removed) or "none"
    console.print(plain(f"{result.parent}: {_documents(len(result.removed))} to remove ({by_reason})"))
    _first(console, "removed", result.removed, ["doc_id", "url", "fate", "reason", "asked"])
    _first(console, "come in", result.readmitted, ["doc_id", "url", "reason", "duplicate_of"])
    _first(console, "go out", result.displaced, ["doc_id", "url", "reason", "duplicate_of"])
    _first(console, "packed rows that held them", result.rows, ["shard", "shard_row", "doc_id"])
    for run in result.runs:
        _first(console, f"{run['run']}: steps 1 to {run['last_step']:,}", run["steps"], ["step", "row", "doc_id"])
    if not result.out:
        console.print("nothing to remove: no new version was written")
        return
    (units, all_units), (buckets, all_buckets) = result.done["encode"], result.done["pack"]
    console.print(plain(f"made again: {units:,} of {all_units:,} units, {buckets:,} of {all_buckets:,} buckets"))
    console.print(plain(f"digest {result.digest}"))
    console.print(plain(f"new version {result.out}", 1000), soft_wrap=True)


def _first(console: Console, title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """The first rows as a table; nothing where there are none."""
    if rows:
        more = f" (the first {MAX_ROWS} of {len(rows):,}; --json has all)" if len(rows) > MAX_ROWS else ""
        console.print(table(title + more, rows[:MAX_ROWS], columns))


def trained(console: Console, result: dict[str, Any]) -> None:
    """The end of a training run."""
    by_source = ", ".join(f"{name} {number(loss)}" for name, loss in result["loss_by_source"].items())
    console.print(
        plain(f"{result['step']:,} steps, {result['samples']:,} rows; loss {result['loss']:.4f} ({by_source})")
    )
    if "validation_loss" in result:
        bits = f"{result['validation_bits_per_byte']:.4f} bits per byte"
        console.print(plain(f"validation loss {result['validation_loss']:.4f}, {bits}"))
    console.print(plain(f"checkpoint {result['checkpoint']}", 1000), soft_wrap=True)
    if "best_checkpoint" in result:
        console.print(plain(f"lowest validation loss {result['best_checkpoint']}", 1000), soft_wrap=True)


def checks(console: Console, made: "list[Check]") -> None:
    """The doctor's findings."""
    for check in made:
        remedy = "" if check.passed else f"  -> {check.remedy}"
        console.print(
            plain(f"{'ok  ' if check.passed else 'BAD '} {check.name}: {check.found}{remedy}", 1000), soft_wrap=True
        )

"""What a report counts in the ledger: the funnel, drops by reason, languages, hosts, errors, duplicates, histograms."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from corpus.ledger_rows import Tally, batches, columns_of, host_of
from filters.url import public_suffixes
from manifests.schemas import FATES

# Requests, metadata and the like: records of an archive that are beside a page, with its address.
NOT_A_PAGE = "read.record_type"
MAX_HOSTS = 400_000
MAX_ERRORS = 20_000
MAX_ERROR_CHARS = 200
MAX_ITEMS = 100_000
ITEM, ITEM_FILE = "decontaminate.item", "decontaminate.item_file"
LINE_COLUMNS = ("num_lines_removed", "num_line_bytes_removed")
TOP = 25
TOP_LANGUAGES = 15
TOP_RETENTION = 20
COMPONENT_SIZES = (2, 3, 4, 5, 10, 20, 50, 100, 1000)  # lower ends of the buckets
FINE_BINS, SHOWN_BINS = 1008, 48  # a multiple, so that a whole axis keeps its ends
TAIL_RATIO = 0.0005  # of the values at either end go into the end bins, so that one outlier does not flatten the rest
LOG_FROM = 200.0  # measures of at least 0 that reach this far are binned by log(1 + x)


def count_ledger(paths: Sequence[str]) -> dict[str, pl.DataFrame]:
    """One pass over the ledger; frames with the columns named here, sorted by key, and sums as int64.

    fates: fate, stage, reason, documents, bytes, tokens; languages: language, fate, documents; hosts: host, kept,
    dedup, other (of pages; the rarest may be forgotten, see Tally); errors: error, documents; components:
    component_size, documents; lines: fate, documents, num_lines_removed, num_line_bytes_removed (of those that lost
    some); items: item, item_file, documents (of evaluation sets; the rarest may be forgotten).
    """
    available = columns_of(paths)
    label = pl.col("language.label") if "language.label" in available else pl.lit(None, pl.String)
    tallies = _tallies()
    columns = ["url", "fate", "stage", "reason", "error", "num_bytes", "num_tokens", "component_size", *LINE_COLUMNS]
    columns += [name for name in ("language.label", ITEM, ITEM_FILE) if name in available]
    is_kept, by_dedup = pl.col("fate") == "kept", pl.col("stage").eq_missing("dedup")
    for frame in batches(paths, columns):
        rows = frame.with_columns(
            documents=pl.lit(1, pl.Int64),
            bytes=pl.col("num_bytes"),
            tokens=pl.col("num_tokens").fill_null(0),
            language=label,
            host=host_of(pl.col("url")),
            error=pl.col("error").str.slice(0, MAX_ERROR_CHARS),
            kept=is_kept.cast(pl.Int64),
            dedup=by_dedup.cast(pl.Int64),
            other=(~is_kept & ~by_dedup).cast(pl.Int64),
        )
        tallies["fates"].add(rows)
        tallies["languages"].add(rows.filter(pl.col("language").is_not_null()))
        is_page = pl.col("reason").ne_missing(NOT_A_PAGE)
        tallies["hosts"].add(rows.filter(pl.col("host").is_not_null() & is_page))
        tallies["errors"].add(rows.filter(pl.col("fate") == "failed"))
        tallies["components"].add(rows.filter(is_kept & (pl.col("component_size") > 1)))
        tallies["lines"].add(rows.filter(pl.col("num_lines_removed") > 0))
        if ITEM in available:
            tallies["items"].add(rows.filter(pl.col(ITEM_FILE) >= 0))
    return {name: tally.table() for name, tally in tallies.items()}


def _tallies() -> dict[str, Tally]:
    return {
        "fates": Tally(["fate", "stage", "reason"], ["documents", "bytes", "tokens"]),
        "languages": Tally(["language", "fate"], ["documents"]),
        "hosts": Tally(["host"], ["kept", "dedup", "other"], MAX_HOSTS),
        "errors": Tally(["error"], ["documents"], MAX_ERRORS),
        "components": Tally(["component_size"], ["documents"]),
        "lines": Tally(["fate"], ["documents", *LINE_COLUMNS]),
        "items": Tally([ITEM, ITEM_FILE], ["documents"], MAX_ITEMS),
    }


def totals(fates: pl.DataFrame) -> dict[str, int]:
    """Records by fate, and the bytes and tokens of the kept ones."""
    rows = fates.to_dicts()
    kept = [row for row in rows if row["fate"] == "kept"]
    by_fate = {f"num_{fate}": sum(row["documents"] for row in rows if row["fate"] == fate) for fate in FATES}
    return {
        "num_records": sum(by_fate.values()),
        **by_fate,
        "kept_bytes": sum(row["bytes"] for row in kept),
        "kept_tokens": sum(row["tokens"] for row in kept),
    }


def funnel(fates: pl.DataFrame, rules: Sequence[str]) -> list[dict[str, Any]]:
    """label, num_left and num_lost of each step from records read to documents kept.

    rules: the stages that drop, in run order, without reading and extraction. These make two steps: records that are
    no pages at all, and pages that fail or have no text.
    """
    rules = [*rules, *({row["stage"] for row in fates.iter_rows(named=True)} & {"remove"})]
    lost: dict[str, int] = {}
    for row in fates.iter_rows(named=True):
        if row["fate"] != "kept":
            name = row["stage"] if row["stage"] in rules and row["fate"] != "failed" else ""
            name = NOT_A_PAGE if row["reason"] == NOT_A_PAGE else name
            lost[name] = lost.get(name, 0) + row["documents"]
    left = totals(fates)["num_records"]
    steps = [{"label": "records read", "num_left": left, "num_lost": 0}]
    reading = [(NOT_A_PAGE, "pages and texts"), ("", "documents with text")]
    for name, label in [*reading, *((rule, f"after {rule}") for rule in rules)]:
        left -= lost.get(name, 0)
        steps.append({"label": label, "num_left": left, "num_lost": lost.get(name, 0)})
    return steps


def drops(fates: pl.DataFrame, rules: Sequence[str]) -> list[dict[str, Any]]:
    """What was not kept: stage, reason, fate, num_documents, bytes, in run order, then the most frequent first."""
    order = {rule: position for position, rule in enumerate(["read", "extract", *rules, "remove"])}
    rows = [
        {
            "stage": row["stage"] or row["fate"],
            "reason": row["reason"] or row["fate"],
            "fate": row["fate"],
            "num_documents": row["documents"],
            "bytes": row["bytes"],
        }
        for row in fates.iter_rows(named=True)
        if row["fate"] != "kept"
    ]
    return sorted(rows, key=lambda r: (order.get(r["stage"], -1), r["stage"], -r["num_documents"], r["reason"]))


def languages(table: pl.DataFrame) -> list[dict[str, Any]]:
    """language, num_kept and num_lost of the TOP_LANGUAGES most frequent; the rest together as `(other)`."""
    found: dict[str, list[int]] = {}
    for row in table.iter_rows(named=True):
        found.setdefault(row["language"], [0, 0])[row["fate"] != "kept"] += row["documents"]
    order = sorted(found, key=lambda name: (-sum(found[name]), name))
    rows = [
        {"language": name, "num_kept": found[name][0], "num_lost": found[name][1]} for name in order[:TOP_LANGUAGES]
    ]
    rest = [found[name] for name in order[TOP_LANGUAGES:]]
    if rest:
        rows.append({"language": "(other)", "num_kept": sum(r[0] for r in rest), "num_lost": sum(r[1] for r in rest)})
    return rows


def by_domain(hosts: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Registered domain -> its pages that are kept, lost to dedup and other; the host where nothing is registered."""
    suffixes = public_suffixes()
    found: dict[str, dict[str, int]] = {}
    for row in hosts.iter_rows(named=True):
        name = suffixes.privatesuffix(row["host"]) or row["host"]
        counts = found.setdefault(name, {"kept": 0, "dedup": 0, "other": 0})
        for key in counts:
            counts[key] += row[key]
    return found


def domains(found: dict[str, dict[str, int]]) -> dict[str, list[dict[str, Any]]]:
    """The TOP registered domains by documents kept (`kept`) and not kept (`lost`): domain, num_kept, num_lost.

    found: of `by_domain`.
    """
    rows = [
        {"domain": name, "num_kept": counts["kept"], "num_lost": counts["dedup"] + counts["other"]}
        for name, counts in found.items()
    ]
    return {name: _top(rows, f"num_{name}", "domain", TOP) for name in ("kept", "lost")}


def retention(audited: dict[str, Any], found: dict[str, dict[str, int]]) -> dict[str, list[dict[str, Any]]]:
    """What dedup left of each source, and of the registered domains that lost most to it.

    audited: of corpus.audit; found: of `by_domain`. `sources` and `domains` are rows of name, num_reached (documents
    that the filters kept), num_lost and kept_ratio, those that lost most first; only those that lost any.
    """
    sources = [
        {"name": row["value"], "num_reached": row["num_reached"], "num_lost": row["num_dropped"]}
        for row in audited["rows"]
        if (row["slice"], row["rule"]) == ("source", "dedup")
    ]
    domains = [
        {"name": name, "num_reached": counts["kept"] + counts["dedup"], "num_lost": counts["dedup"]}
        for name, counts in found.items()
    ]
    return {
        name: [
            {**row, "kept_ratio": round(1 - row["num_lost"] / row["num_reached"], 6)}
            for row in _top(rows, "num_lost", "name", limit)
        ]
        for name, rows, limit in (("sources", sources, len(sources)), ("domains", domains, TOP_RETENTION))
    }


def _top(rows: list[dict[str, Any]], by: str, name: str, limit: int) -> list[dict[str, Any]]:
    """The rows with the largest counts, zeros left out, equal ones by name."""
    return sorted((row for row in rows if row[by]), key=lambda row: (-row[by], row[name]))[:limit]


def errors(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Failed records by error: error and num_records, the most frequent first; the rest together as `(other)`."""
    rows = [(row["error"] or "(no message)", row["documents"]) for row in table.iter_rows(named=True)]
    rows.sort(key=lambda row: (-row[1], row[0]))
    shown = [{"error": error, "num_records": count} for error, count in rows[:TOP]]
    if rows[TOP:]:
        shown.append({"error": "(other)", "num_records": sum(count for _, count in rows[TOP:])})
    return shown


def contamination(paths: Sequence[str], items: pl.DataFrame, files: Sequence[str]) -> dict[str, Any]:
    """The TOP items of evaluation sets by documents that share most with them (`rows`), and how many were found.

    items: of count_ledger; files: the names that decontaminate.item_file counts. Rows are item, file, num_documents and
    doc_id, the least of those documents. One pass over the ledger more, none where no item was found.
    """
    if items.is_empty():
        return {"num_items": 0, "rows": []}
    keys = [ITEM, ITEM_FILE]
    top = items.sort(["documents", ITEM_FILE, ITEM], descending=[True, False, False]).head(TOP)
    found = (frame.join(top, on=keys, how="semi") for frame in batches(paths, ["doc_id", *keys]))
    first = (
        pl.concat([rows.group_by(keys).agg(pl.min("doc_id")) for rows in found]).group_by(keys).agg(pl.min("doc_id"))
    )
    rows = [
        {"item": item, "file": files[int(number)], "num_documents": num_documents, "doc_id": doc_id}
        for item, number, num_documents, doc_id in top.join(first, on=keys, maintain_order="left").iter_rows()
    ]
    return {"num_items": items.height, "rows": rows}


def lines(table: pl.DataFrame) -> dict[str, int]:
    """What documents lost since earlier ones have it: num_documents, num_dropped of them, num_lines and num_bytes."""
    rows = list(table.iter_rows(named=True))
    return {
        "num_documents": sum(row["documents"] for row in rows),
        "num_dropped": sum(row["documents"] for row in rows if row["fate"] == "dropped"),
        "num_lines": sum(row["num_lines_removed"] for row in rows),
        "num_bytes": sum(row["num_line_bytes_removed"] for row in rows),
    }


def components(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Components of duplicates by size: size (a bucket such as `5-9`), num_components (= keepers), num_documents."""
    ends = [*(size - 1 for size in COMPONENT_SIZES[1:]), None]
    rows = []
    for first, last in zip(COMPONENT_SIZES, ends, strict=True):
        name = f"{first}" if first == last else f"{first}+" if last is None else f"{first}-{last}"
        inside = [r for r in table.iter_rows() if first <= r[0] and (last is None or r[0] <= last)]
        rows.append(
            {
                "size": name,
                "num_components": sum(count for _, count in inside),
                "num_documents": sum(size * count for size, count in inside),
            }
        )
    return [row for row in rows if row["num_components"]]


def histograms(
    paths: Sequence[str], bounds: Sequence[dict[str, Any]], dropped: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Distributions of length in bytes and of every bounded score, among documents kept, dropped by it, and others.

    bounds: dicts of column, side ("min" or "max"), limit and reason; dropped: of `drops`. Two passes over the ledger:
    ends, then bins. Returns the histograms and, as dicts of column and value, the measures that have one value over all
    documents. Histograms are dicts of column, scale ("linear", "whole": a bin counts the whole numbers from its edge to
    before the next, or "log": log(1 + x)), edges (num_bins + 1), kept, dropped_here, dropped_elsewhere (num_bins counts
    each), num_dropped (of its reasons, by `dropped`) and bounds. Values beyond the edges are counted in the end bins.
    """
    available = columns_of(paths)
    names = ["num_bytes", *dict.fromkeys(bound["column"] for bound in bounds)]
    names = [name for name in dict.fromkeys(names) if name in available]
    own = {name: [bound for bound in bounds if bound["column"] == name] for name in names}
    ends = _ends(paths, own)
    constant = [{"column": name, "value": low} for name, (low, high, _) in ends.items() if low == high]
    axes = {
        name: _axis(*found, [bound["limit"] for bound in own[name]])
        for name, found in ends.items()
        if found[0] < found[1]
    }
    counts = _bin_counts(paths, axes, own)
    shown = [_histogram(name, axes[name], counts[name], own[name]) for name in axes]
    for item in shown:
        reasons = {bound["reason"] for bound in item["bounds"]}
        item["num_dropped"] = sum(row["num_documents"] for row in dropped if row["reason"] in reasons)
    return shown, constant


def _bin_counts(
    paths: Sequence[str], axes: dict[str, dict[str, Any]], own: dict[str, list[dict[str, Any]]]
) -> dict[str, list[list[int]]]:
    """For each column the counts of its fine bins: kept, dropped by its bounds, others."""
    tally = Tally(["column", "category", "bin"], ["documents"])
    for frame in batches(paths, [*dict.fromkeys([*axes, "num_bytes"]), "fate", "reason"]):
        for name, axis in axes.items():
            rows = frame.filter(_has_place(own[name]))
            tally.add(rows.select(**_binned(name, axis, own[name])).filter(pl.col("bin").is_not_null()))
    counts = {name: [[0] * axis["num_bins"] for _ in range(3)] for name, axis in axes.items()}
    for row in tally.table().iter_rows(named=True):
        counts[row["column"]][row["category"]][row["bin"]] = row["documents"]
    return counts


def _rejected(bounds: list[dict[str, Any]]) -> pl.Expr:
    return pl.col("reason").is_in([bound["reason"] for bound in bounds]).fill_null(False)


def _has_place(bounds: list[dict[str, Any]]) -> pl.Expr:
    """Documents with text, and those that these bounds rejected before edits left nothing of them."""
    return (pl.col("num_bytes") > 0) | _rejected(bounds)


def _ends(paths: Sequence[str], own: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[float, float, bool]]:
    """For each column that has a value: the least, the greatest, and whether all are whole numbers."""
    ends: dict[str, tuple[float, float, bool]] = {}
    for frame in batches(paths, [*dict.fromkeys([*own, "num_bytes"]), "reason"]):
        for name in own:
            values = frame.filter(_has_place(own[name]))[name].cast(pl.Float64).drop_nulls()
            if len(values):
                low, high, whole = ends.get(name, (math.inf, -math.inf, True))
                is_whole = whole and bool((values == values.floor()).all())
                ends[name] = (min(low, *_least_and_most(values)), max(high, *_least_and_most(values)), is_whole)
    return {name: ends[name] for name in own if name in ends}


def _least_and_most(values: pl.Series) -> tuple[float, float]:
    return float(values.min()), float(values.max())  # type: ignore[arg-type]


def _axis(low: float, high: float, whole: bool, limits: list[float]) -> dict[str, Any]:
    """scale, low and high (scaled) and num_bins (fine) of an axis with low < high."""
    low, high = min(low, *limits, high), max(high, *limits, low)
    if low >= 0 and high >= LOG_FROM:
        return {"scale": "log", "low": math.log1p(low), "high": math.log1p(high), "num_bins": FINE_BINS}
    if whole and high - low < FINE_BINS and all(float(limit).is_integer() for limit in limits):
        return {"scale": "whole", "low": low, "high": high + 1, "num_bins": round(high - low) + 1}
    return {"scale": "linear", "low": low, "high": high, "num_bins": FINE_BINS}


def _binned(name: str, axis: dict[str, Any], bounds: list[dict[str, Any]]) -> dict[str, pl.Expr]:
    value = pl.col(name).cast(pl.Float64)
    scaled = value.log1p() if axis["scale"] == "log" else value
    unit = (axis["high"] - axis["low"]) / axis["num_bins"]  # exactly 1 for whole numbers, so that none is rounded away
    position = (scaled - axis["low"]) / unit
    kept = pl.col("fate") == "kept"
    return {
        "column": pl.lit(name),
        "category": pl.when(kept).then(0).when(_rejected(bounds)).then(1).otherwise(2),
        "bin": position.floor().cast(pl.Int64).clip(0, axis["num_bins"] - 1),
        "documents": pl.lit(1, pl.Int64),
    }


def _histogram(
    name: str, axis: dict[str, Any], counts: list[list[int]], bounds: list[dict[str, Any]]
) -> dict[str, Any]:
    first, last = _window(axis, [sum(column) for column in zip(*counts, strict=True)], bounds)
    step = math.ceil((last - first) / SHOWN_BINS)
    starts = list(range(first, last, step))
    unit = (axis["high"] - axis["low"]) / axis["num_bins"]
    scaled = [axis["low"] + unit * start for start in [*starts, starts[-1] + step]]
    edges = [math.expm1(edge) if axis["scale"] == "log" else edge for edge in scaled]
    shown = [_shown(series, starts, step) for series in counts]
    return {
        "column": name,
        "scale": axis["scale"],
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "kept": shown[0],
        "dropped_here": shown[1],
        "dropped_elsewhere": shown[2],
        "bounds": [dict(bound) for bound in bounds],
    }


def _window(axis: dict[str, Any], counts: list[int], bounds: list[dict[str, Any]]) -> tuple[int, int]:
    """The fine bins to show: all but the tails, and the limits where that does not squeeze the rest too much."""
    tail, total = TAIL_RATIO * sum(counts), 0
    inside = []
    for position, count in enumerate(counts):
        if count and total + count > tail and total < sum(counts) - tail:
            inside.append(position)
        total += count
    first, last = min(inside), max(inside) + 1
    unit = (axis["high"] - axis["low"]) / axis["num_bins"]
    for bound in bounds:
        limit = math.log1p(bound["limit"]) if axis["scale"] == "log" else bound["limit"]
        position = min(max(int((limit - axis["low"]) / unit), 0), axis["num_bins"] - 1)
        wider = min(first, position), max(last, position + 1)
        if wider[1] - wider[0] <= 4 * (last - first):
            first, last = wider
    return first, last


def _shown(series: list[int], starts: list[int], step: int) -> list[int]:
    """Sums of `step` fine bins from each start; what lies before or after goes into the end bins."""
    sums = [sum(series[start : start + step]) for start in starts]
    sums[0] += sum(series[: starts[0]])
    sums[-1] += sum(series[starts[-1] + step :])
    return sums

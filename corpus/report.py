"""The report of a corpus: report.json, which says what was read, kept and dropped and why, and a page that shows it.

`build_report` reads the ledger and a few sampled texts; `render` sees nothing but its result, so a page can be made
again from report.json alone. Times stand under the key `run` only: the rest is the same for every run of a recipe.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from corpus import report_charts, report_counts, report_samples
from manifests import shards
from manifests.ledger import ledger_files

FORMAT = "gristmill-report/1"


def build_report(out: str, facts: dict[str, Any], bounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of report.json; bounded memory.

    out: the corpus folder, with `ledger/*.parquet` and `units/<unit_id>/documents.parquet` (and `edits.parquet`).
    facts: name, recipe, counts, audit (of corpus.audit), tokens (num_tokens, num_rows, num_validation_rows, efficiency,
    vocab_size), sources, versions, report_component_size (how many documents make a component a large one), stages
    (dicts of name, seconds and, where items were used again, their number as `reused`: they go to `run`), gates (may
    be absent: dicts of text and met), item_files (may be absent: names of the files of evaluation items); other keys
    are taken over.
    bounds: dicts of column (`rule.measure`), side ("min" or "max"), limit, reason (`rule.defect`).
    Raises IntegrityError if a ledger or unit cannot be read.
    """
    files = ledger_files(out)
    paths = [shards.join(out, name) for name in files]
    tables = report_counts.count_ledger(paths)
    fates, rules = tables["fates"], facts["audit"]["rules"]
    domains = report_counts.by_domain(tables["hosts"])
    dropped = report_counts.drops(fates, rules)
    histograms, constant = report_counts.histograms(paths, bounds, dropped)
    return {
        "format": FORMAT,
        "gates": [],
        **{key: value for key, value in facts.items() if key not in ("stages", "item_files")},
        "totals": report_counts.totals(fates),
        "funnel": report_counts.funnel(fates, rules),
        "drops": dropped,
        "languages": report_counts.languages(tables["languages"]),
        "histograms": histograms,
        "constant_measures": constant,
        "components": report_counts.components(tables["components"]),
        "lines": report_counts.lines(tables["lines"]),
        "contamination": report_counts.contamination(paths, tables["items"], facts.get("item_files", [])),
        "large_components": report_samples.large_components(out, files, facts["report_component_size"]),
        "retention": report_counts.retention(facts["audit"], domains),
        "domains": report_counts.domains(domains),
        "errors": report_counts.errors(tables["errors"]),
        "samples": report_samples.samples(out, files, bounds),
        "run": {"stages": [{"reused": 0, **stage} for stage in facts["stages"]]},
    }


def render(report: dict[str, Any]) -> str:
    """One HTML page that needs nothing but itself and may load nothing.

    All texts are escaped by the template engine; chart labels are escaped once more, since plotly reads tags in them.
    The page's Content-Security-Policy allows the two scripts in it by their digest, and no network at all.
    """
    folder = resources.files("corpus")
    # Browsers digest a script's text after turning CR LF into LF.
    library = get_plotlyjs().replace("\r\n", "\n")
    script = folder.joinpath("report.js").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, ratio=_ratio, interval=_interval, size=_size, breakable=_breakable)
    page = environment.from_string(folder.joinpath("report_page.html").read_text("utf-8"))
    return page.render(
        report=report,
        figures=report_charts.figures(report),
        audit_tables=audit_tables(report["audit"]),
        style=Markup(folder.joinpath("report.css").read_text("utf-8")),
        library=Markup(library),
        script=Markup(script),
        script_digests=Markup(" ").join(Markup("'sha256-{}'").format(_digest(text)) for text in (library, script)),
    )


def audit_tables(audit: dict[str, Any]) -> list[dict[str, Any]]:
    """One table for each slice: columns are the rules that dropped anything, rows the values of the slice.

    A cell is None where no document reached the rule, else drop_ratio, num_dropped, num_reached, low, high and `mark`:
    "more" or "less" where the interval excludes the ratio of all documents, else "".
    """
    rows = {(row["slice"], row["value"], row["rule"]): row for row in audit["rows"]}
    overall = {row["rule"]: row["drop_ratio"] for row in audit["rows"] if row["slice"] == "all"}
    rules = ["*", *(rule for rule in audit["rules"] if overall.get(rule, 0) > 0)]
    tables = []
    for name in ("identity", "language", "source", "tld"):
        values = sorted(
            {value for slice_name, value, _ in rows if slice_name == name},
            key=lambda value: (-rows[name, value, "*"]["num_reached"], value),
        )
        lines = [
            {
                "value": value,
                "num_documents": rows[name, value, "*"]["num_reached"],
                "cells": [_cell(rows.get((name, value, rule)), overall[rule]) for rule in rules],
            }
            for value in values[: report_counts.TOP]
        ]
        if lines:
            tables.append({"slice": name, "rules": rules, "rows": lines, "num_more": len(values) - len(lines)})
    return tables


def _cell(row: dict[str, Any] | None, overall: float) -> dict[str, Any] | None:
    if row is None:
        return None
    return {**row, "mark": "more" if row["low"] > overall else "less" if row["high"] < overall else ""}


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _breakable(name: str) -> Markup:
    """A name that lines may break after its underscores and full stops."""
    return Markup(escape(name).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>")))


def _number(value: float | None) -> str:
    """Thousands separators; at most 4 significant digits after a point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _ratio(value: float) -> str:
    return f"{value:.1%}"


def _interval(cell: dict[str, Any]) -> str:
    return f"{100 * cell['low']:.1f}–{cell['high']:.1%}"


def _size(num_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if num_bytes < 1000 or unit == "TB":
            return f"{num_bytes:,.0f} {unit}" if unit == "bytes" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    raise AssertionError("the last unit has no limit")

"""How much of what the sample plants did a build find?"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.errors import InputError

Row = Mapping[str, Any]

_COPIES = ("exact_copy", "cross_copy", "near_copy", "reworded")
_LOW_QUALITY = ("spam", "repetitive", "short", "navigation", "list", "lorem", "code")
_NO_DOCUMENT = ("not_found", "redirect", "not_html", "revisit")
_KEPT = ("article", "original", "comments", "identity", "noise")
# Below this exact Jaccard similarity, the default of 14 bands of 8 rows misses most pairs by design.
_NEAR_JACCARD = 0.7
_PERSONAL = ("emails", "phones", "ibans", "cards", "ip_addresses")


def compare(truth_path: str, ledger: pa.Table) -> list[tuple[str, int, int]]:
    """(what was planted, how often, how often the build found it), in a fixed order; things not planted are left out.

    truth_path: the sample's truth.jsonl. ledger: the build's ledger with its score columns (manifests.schemas.LEDGER).
    Found means: plain pages kept (or merged with another), copies a duplicate (or their original), twins not merged,
    pages of low quality dropped, abuse dropped by `toxicity`, blocked hosts by `url`, broken records failed, languages
    named rightly, personal data counted by `pii`. Pages in a language that the recipe does not keep are judged by
    their language alone. Raises InputError if truth.jsonl is missing.
    """
    try:
        lines = Path(truth_path).read_text("utf-8").split("\n")
    except FileNotFoundError:
        raise InputError(f"{truth_path}: is missing; write the sample again with `gristmill sample`.") from None
    truth = [json.loads(line) for line in lines if line]
    rows = _rows_by_url(ledger)
    counts = [
        *_fate_counts(truth, rows),
        ("broken", *_broken_counts(truth, ledger)),
        ("language named", *_language_counts(truth, rows)),
        *_personal_counts(truth, rows),
    ]
    return [count for count in counts if count[1]]


def _rows_by_url(ledger: pa.Table) -> dict[str, Row]:
    """The row of each address that says most: one that went on past reading, else one that is no side record."""
    rows: dict[str, Row] = {}
    for row in ledger.to_pylist():
        url = row["url"]
        if url is not None and (url not in rows or _weight(row) > _weight(rows[url])):
            rows[url] = row
    return rows


def _weight(row: Row) -> int:
    if row["stage"] != "read":
        return 2
    return int(row["reason"] != "read.record_type")


def _fate_counts(truth: list[Row], rows: Mapping[str, Row]) -> list[tuple[str, int, int]]:
    """Kinds whose finding shows in the fate of the page."""
    checks: dict[str, Callable[[Row, Mapping[str, Row]], bool]] = {
        **dict.fromkeys(_KEPT, _is_kept),
        **dict.fromkeys(_COPIES, _is_merged),
        "template_twin": _is_own_document,
        **dict.fromkeys(_LOW_QUALITY, _is_dropped),
        "toxic": lambda planted, found: _reason(planted, found).startswith("toxicity."),
        "blocked": lambda planted, found: _reason(planted, found).startswith("url."),
        **dict.fromkeys(_NO_DOCUMENT, lambda planted, found: _reason(planted, found).startswith("read.")),
        "legacy_encoding": _is_right_language,
        "mojibake": _is_dropped,
    }
    result = []
    for kind, check in checks.items():
        for label, planted in _split_by_jaccard(kind, [row for row in truth if row["kind"] == kind]):
            judged = [row for row in planted if kind == "legacy_encoding" or not _is_unwanted(row, rows)]
            result.append((label, len(judged), sum(check(row, rows) for row in judged)))
    return result


def _is_unwanted(planted: Row, rows: Mapping[str, Row]) -> bool:
    """Dropped because the recipe does not keep the language that the page is in."""
    return _reason(planted, rows) == "language.unwanted" and _is_right_language(planted, rows)


def _split_by_jaccard(kind: str, planted: list[Row]) -> list[tuple[str, list[Row]]]:
    if kind not in ("near_copy", "reworded"):
        return [(kind, planted)]
    close = [row for row in planted if row["jaccard"] >= _NEAR_JACCARD]
    loose = [row for row in planted if row["jaccard"] < _NEAR_JACCARD]
    return [(f"{kind}, Jaccard >= {_NEAR_JACCARD}", close), (f"{kind}, Jaccard < {_NEAR_JACCARD}", loose)]


def _reason(planted: Row, rows: Mapping[str, Row]) -> str:
    row = rows.get(planted["url"])
    return str(row["reason"] or "") if row else ""


def _fate(url: str, rows: Mapping[str, Row]) -> str:
    return str(rows[url]["fate"]) if url in rows else ""


def _is_kept(planted: Row, rows: Mapping[str, Row]) -> bool:
    return _fate(planted["url"], rows) in ("kept", "duplicate")


def _is_dropped(planted: Row, rows: Mapping[str, Row]) -> bool:
    return _fate(planted["url"], rows) == "dropped"


def _is_merged(planted: Row, rows: Mapping[str, Row]) -> bool:
    return "duplicate" in (_fate(planted["url"], rows), _fate(planted["of"], rows))


def _is_own_document(planted: Row, rows: Mapping[str, Row]) -> bool:
    return _fate(planted["url"], rows) == "kept"


def _is_right_language(planted: Row, rows: Mapping[str, Row]) -> bool:
    row = rows.get(planted["url"])
    return row is not None and row.get("language.label") == planted["language"]


def _broken_counts(truth: list[Row], ledger: pa.Table) -> tuple[int, int]:
    """By file: where a file stops making sense, the row of the failure has no address."""
    planted = Counter(Path(row["file"]).name for row in truth if row["kind"] == "broken")
    failed = Counter(
        Path(file).name
        for file, fate in zip(ledger["file"].to_pylist(), ledger["fate"].to_pylist(), strict=True)
        if fate == "failed"
    )
    return sum(planted.values()), sum(min(number, failed[file]) for file, number in planted.items())


def _language_counts(truth: list[Row], rows: Mapping[str, Row]) -> tuple[int, int]:
    """Pages of running text whose language the model names rightly."""
    planted = [row for row in truth if row["kind"] in (*_KEPT, *_COPIES, "template_twin", "pii")]
    return len(planted), sum(_is_right_language(row, rows) for row in planted)


def _personal_counts(truth: list[Row], rows: Mapping[str, Row]) -> list[tuple[str, int, int]]:
    """Values of each kind, counted page by page so that wrong finds elsewhere do not make up for missed ones."""
    pages = [row for row in truth if row["kind"] == "pii"]
    result = []
    for kind in _PERSONAL:
        planted = [row["counts"][kind] for row in pages]
        found = [int(rows.get(row["url"], {}).get(f"pii.num_{kind}") or 0) for row in pages]
        result.append((f"pii {kind}", sum(planted), sum(min(pair) for pair in zip(planted, found, strict=True))))
    return result

"""The held-out report of a classifier as Markdown: what the command prints and writes beside the model."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from corpus.classifier_metrics import Confusion

if TYPE_CHECKING:
    from corpus.classifier import ClassifierReport


def card(report: "ClassifierReport") -> str:
    """The whole report, with the lines of a recipe that use the model."""
    label, other = report.config["label"], report.config["negative_label"]
    head = [
        f"# {report.model}",
        "",
        f"A fastText classifier: its score of `{label}` says how much a text is like those and unlike `{other}`.",
        f"{report.model_bytes:,} bytes, SHA-256 {report.model_sha256}",
        "",
    ]
    sections = (head, _texts(report), _held_out(report, label, other), _training(report), _recipe(report, label))
    return "\n".join(line for section in sections for line in section)


def _texts(report: "ClassifierReport") -> list[str]:
    return [
        "## Texts",
        "",
        *_counts(report),
        "",
        "Texts with the same letters and digits count as one; those in both classes are left out.",
        "Before training: NFC and the other defaults of a recipe's `[normalize]`, then one line a text.",
        "",
    ]


def _held_out(report: "ClassifierReport", label: str, other: str) -> list[str]:
    rates = [
        (
            rate["wanted_ratio"],
            f"{rate['threshold']:.6f}",
            *_shares(rate["kept_negative_ratio"], rate["kept_positive_ratio"]),
        )
        for rate in report.thresholds
    ]
    bins = [
        (f"{found['low']}-{found['high']}", found["num_texts"], *_shares(found["mean_score"], found["positive_ratio"]))
        for found in report.reliability
        if found["num_texts"]
    ]
    return [
        f"## On the texts held out (share {report.config['held_out']}, by a hash of the text)",
        "",
        f"- ROC AUC {report.roc_auc:.4f}",
        f"- average precision {report.average_precision:.4f}",
        f"- expected calibration error {report.calibration_error:.4f}",
        "",
        *_confusion(report.confusion, label, other),
        "",
        f"Thresholds (a text is kept from there up) for shares of `{other}`:",
        "",
        *markdown_table((f"wanted of {other}", "threshold", f"kept of {other}", f"kept of {label}"), rates),
        "",
        "Calibration:",
        "",
        *markdown_table(("score", "texts", "mean score", f"{label} among them"), bins),
        "",
        "Most telling words:",
        "",
        *(f"- {name}: {_code(words)}" for name, words in report.telling_words.items()),
        "",
    ]


def _training(report: "ClassifierReport") -> list[str]:
    files = [(name, file.file, file.num_bytes, file.sha256) for name, found in report.files.items() for file in found]
    return [
        "## How it was trained",
        "",
        *(f"- {name}: {value}" for name, value in (report.config | report.versions).items() if value is not None),
        "",
        *markdown_table(("class", "file", "bytes", "SHA-256"), files),
        "",
    ]


def _recipe(report: "ClassifierReport", label: str) -> list[str]:
    return [
        "## In a recipe",
        "",
        "```toml",
        "[[filter]]",
        'rule = "quality"',
        f'models = {{ {label} = "{report.model}" }}',
        f'labels = {{ {label} = "{label}" }}',
        f"min_scores = {{ {label} = {math.floor(report.confusion['threshold'] * 1e6) / 1e6} }}",
        "```",
        "",
    ]


def _counts(report: "ClassifierReport") -> list[str]:
    rows = {label: asdict(counts) for label, counts in report.counts.items()}
    names = list(next(iter(rows.values())))
    heads = [name.removeprefix("num_").replace("_", " ") for name in names]
    return markdown_table(("class", *heads), [(label, *(row[name] for name in names)) for label, row in rows.items()])


def _confusion(found: Confusion, label: str, other: str) -> list[str]:
    return [
        f"At the threshold {found['threshold']:.6f}:",
        "",
        *markdown_table(
            ("", "kept", "dropped"),
            [
                (label, found["true_positive"], found["false_negative"]),
                (other, found["false_positive"], found["true_negative"]),
            ],
        ),
    ]


def _shares(*ratios: float) -> tuple[str, ...]:
    return tuple(f"{ratio:.4f}" for ratio in ratios)


def _code(words: list[str]) -> str:
    """Words of documents: no markup, nothing that a terminal obeys."""
    return ", ".join(
        f"`{''.join(char if char.isprintable() and char != '`' else '?' for char in word)[:40]}`" for word in words
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table whose columns are also in line where it is read as text."""
    cells = [list(head), *([f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]

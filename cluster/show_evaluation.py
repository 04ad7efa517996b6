"""The tables of `gristmill evaluate`."""

from typing import Any

from rich.console import Console

from cluster.evaluating import RESULT, beside_corpus
from cluster.show import number, plain, table

FIGURES = ["num_targets", "loss", "perplexity", "bits_per_byte"]


def evaluated(console: Console, found: dict[str, Any]) -> None:
    """All results, a table each."""
    step = f", step {found['step']:,}" if found["step"] is not None else ""
    console.print(plain(f"{found['checkpoint']}{step}", 1000), soft_wrap=True)
    if found["validation"]:
        console.print(table("validation rows", found["validation"], ["slice", "value", *FIGURES]))
    for path, rows in found["data"].items():
        console.print(table(f"validation rows of {path}", rows, ["slice", "value", *FIGURES]))
    for name, result in found["results"].items():
        if name.startswith("bias "):
            _bias(console, name, result, found["corpus"])
        elif name.startswith("texts "):
            rows = [{"slice": key, **figures} for key, figures in result["by_slice"].items()]
            console.print(table(name, rows, ["slice", *FIGURES]))
        else:
            slices = {"all": result, **result["by_slice"]}
            console.print(table(name, [{"slice": key, **_with_errors(each)} for key, each in slices.items()]))
    console.print(plain(f"written to {found['model'].rstrip('/')}/{RESULT}", 1000), soft_wrap=True)


def _with_errors(result: dict[str, Any]) -> dict[str, Any]:
    """`acc` and `acc_error` as one cell, 0.25 ± 0.01."""
    found: dict[str, Any] = {"num_items": result["num_items"]}
    for name in result:
        if f"{name}_error" in result:
            error = result[f"{name}_error"]
            found[name] = number(result[name]) + (f" ± {number(error)}" if error is not None else "")
    return found


def _bias(console: Console, name: str, result: dict[str, Any], corpus: dict[str, dict[str, Any]]) -> None:
    rows = [
        {
            "by": row["by"],
            "value": row["value"],
            "pairs": row["num_pairs"],
            "ties": row["num_ties"],
            "more_ratio": f"{row['more_ratio']:.3f}",
            "95 %": f"{row['more_ratio_low']:.3f} to {row['more_ratio_high']:.3f}",
            "difference_nats": f"{row['difference_nats']:+.3f}",
            "95 % ": f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}",
            **{f"{key}": row[key] for key in row if key.startswith("corpus ")},
        }
        for row in beside_corpus(result["rows"], corpus)
    ]
    console.print(table(f"{name}: {result['num_pairs']:,} pairs", rows))
    if result["num_unread"]:
        told = "differ in their first token, which nothing predicts: only what follows it is compared"
        console.print(plain(f"{result['num_unread']:,} pairs {told}"))
    if not corpus:
        console.print("the corpus has no audit of mentions of groups: there is nothing to set beside")

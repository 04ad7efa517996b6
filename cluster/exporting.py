"""`gristmill export` and `gristmill prune`: parse, call one function, print the report."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster import show

if TYPE_CHECKING:  # the command line starts without loading torch
    from trainer.export import Exported
    from trainer.quantize import Quantized

Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Training run (its last checkpoint), or one checkpoint.", show_default=False),
]
OutDir = Annotated[str, typer.Option(metavar="DIR", help="Folder or URI to write to.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def export(
    run: Run,
    out: OutDir,
    ema: Annotated[bool, typer.Option("--ema", help="The averaged weights of a run with ema_decay.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Weights as int8, for init and evaluate of gristmill.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained model in the Hugging Face layout, with its tokenizer and a card of its data."""
    from trainer.export import export as export_model
    from trainer.quantize import export_int8

    if int8:
        quantized = export_int8(run, out, ema)
        _print(asdict(quantized), as_json, _quantized_text(quantized))
    else:
        exported = export_model(run, out, ema)
        _print(asdict(exported), as_json, _exported_text(exported))


def prune(
    run: Run,
    out: OutDir,
    sparsity: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of weights to make zero, with commas between.")
    ] = "0.3,0.5,0.7",
    as_json: AsJson = False,
) -> None:
    """Make the smallest weights of a trained model zeros, and tell what each share costs."""
    from trainer.prune import prune_run

    report = prune_run(run, parse_shares(sparsity), out)
    if as_json:
        print(json.dumps(report, indent=1))
        return
    columns = ["sparsity", "zero_ratio", "loss", "bits_per_byte", "folder"]
    show.console().print(show.table(f"{report['checkpoint']} pruned", report["rows"], columns))


def parse_shares(text: str) -> list[float]:
    """`0.3,0.5` as numbers. Raises BadParameter for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--sparsity {text!r}: give numbers with commas between, such as 0.3,0.5.") from None


def _print(content: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print(json.dumps(content, indent=1))
    else:
        show.console().print(show.plain(text, 1000))


def _exported_text(exported: "Exported") -> str:
    return (
        f"{exported.out}: {exported.num_parameters:,} parameters, {exported.weight_bytes:,} bytes, "
        f"from {exported.checkpoint} (step {exported.step:,})"
    )


def _quantized_text(found: "Quantized") -> str:
    return (
        f"{found.out}: {found.int8_bytes:,} bytes for {found.fp32_bytes:,} "
        f"({found.int8_bytes / found.fp32_bytes:.1%}), validation loss {found.int8_loss:.4f} for {found.loss:.4f} "
        f"({found.int8_loss - found.loss:+.4f}), from {found.checkpoint}"
    )

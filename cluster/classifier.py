"""`gristmill classifier train`: parse, call one function, print the report."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer(help="Make classifiers for the filters that take a model.", no_args_is_help=True)

_FILES = "Path, glob (quoted) or URI of .jsonl, .parquet, .wet, or .txt with one document a line. Repeatable."

Negative = Annotated[
    list[str], typer.Option(metavar="FILES", help=f"Texts to drop, or of the crawl as it is. {_FILES}")
]
WantedKeep = Annotated[
    float | None, typer.Option(metavar="RATIO", help="Share of negative texts to keep: gives the threshold.")
]
Quantize = Annotated[
    int | None, typer.Option(metavar="N", help="A small model of N words and n-grams, a few bytes each.")
]


@app.command()
def train(
    positive: Annotated[list[str], typer.Option(metavar="FILES", help=f"Texts to keep. {_FILES}")],
    negative: Negative,
    out: Annotated[str, typer.Option(metavar="FILE", help="The model; the report goes to FILE.md, FILE.json.")],
    label: Annotated[str, typer.Option(help="Label of the texts to keep.")] = "positive",
    negative_label: Annotated[str, typer.Option(help="Label of the others.")] = "negative",
    column: Annotated[str, typer.Option(help="Column of the text in JSON lines and Parquet.")] = "text",
    held_out: Annotated[float, typer.Option(metavar="RATIO", help="Share of texts for the report.")] = 0.1,
    wanted_keep: WantedKeep = None,
    seed: Annotated[int, typer.Option(help="Seed of split, order and training.")] = 1,
    ngrams: Annotated[int, typer.Option(help="Longest run of words that counts.")] = 2,
    dim: Annotated[int, typer.Option(help="Numbers for each word.")] = 64,
    epochs: Annotated[int, typer.Option(help="Passes over the texts.")] = 5,
    learning_rate: Annotated[float, typer.Option(help="fastText's lr.")] = 0.5,
    min_count: Annotated[int, typer.Option(help="Rarer words are left out.")] = 1,
    quantize: Quantize = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Train a fastText classifier and report on held-out texts how good it is."""
    from corpus.classifier import parse_config, train_classifier
    from corpus.classifier_card import card

    config = parse_config(
        label=label,
        negative_label=negative_label,
        column=column,
        held_out=held_out,
        wanted_keep=wanted_keep,
        seed=seed,
        ngrams=ngrams,
        dim=dim,
        epochs=epochs,
        learning_rate=learning_rate,
        min_count=min_count,
        quantize=quantize,
    )
    report = train_classifier(positive, negative, out, config)
    print(json.dumps(asdict(report), indent=1) if as_json else card(report))

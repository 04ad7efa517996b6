"""The command line: parse, call one function, print. Library errors are one line on stderr and exit code 1.

Imports of ours stand in the functions: another package of the same name is told of before it is imported in our place.
"""

import json
import sys
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, Literal, NoReturn

import typer
from pydantic import BaseModel

from cluster import classifier, exporting, show

app = typer.Typer(
    name="gristmill",
    help="Crawl shards in; a filtered, deduplicated, explained corpus and a model trained from it out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(classifier.app, name="classifier")
app.command()(exporting.export)
app.command()(exporting.prune)

INTERRUPTED = 130  # what typer makes of Ctrl-C

OutDir = Annotated[str, typer.Argument(metavar="DIR", help="Folder or URI of a corpus.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as gopher_quality.min_words=80. Repeatable."),
]
RunnerName = Annotated[Literal["ray", "local"], typer.Option(help="Ray Data, or this process alone.")]
Address = Annotated[str | None, typer.Option(metavar="ADDR", help="Ray cluster to use; without it Ray starts here.")]


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (TOML).", show_default=False)],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder or URI for the corpus.", show_default=False)],
    runner: RunnerName = "ray",
    address: Address = None,
    num_cpus: Annotated[int | None, typer.Option(min=1, help="CPUs for a Ray that starts here.")] = None,
    overrides: Overrides = None,
) -> None:
    """Build a corpus from a recipe, or finish one that was begun."""
    from cluster.run import build_corpus

    if num_cpus is not None and (address is not None or runner == "local"):
        raise typer.BadParameter("--num-cpus is for a Ray that starts here: not with --address or --runner local.")
    if address is not None and runner == "local":
        raise typer.BadParameter("--address is for --runner ray.")
    manifest = build_corpus(recipe, out, runner, address, num_cpus, overrides or [])
    show.manifest(show.console(), out, manifest)


@app.command()
def submit(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (TOML).", show_default=False)],
    out: Annotated[str, typer.Option(metavar="URI", help="Where the cluster writes the corpus.", show_default=False)],
    address: Annotated[
        str, typer.Option(metavar="URL", help="Ray dashboard, as http://HEAD:8265.", show_default=False)
    ],
    follow: Annotated[bool, typer.Option(help="Follow the job's log and return its exit code.")] = True,
    overrides: Overrides = None,
) -> None:
    """Send a build to a running Ray cluster as a Ray job."""
    from cluster.submit import submit_build

    raise typer.Exit(submit_build(recipe, out, address, follow=follow, overrides=overrides or []))


@app.command()
def report(out: OutDir, as_json: AsJson = False) -> None:
    """Print a corpus's headline figures and where its report lies."""
    content = read_json(f"{out.rstrip('/')}/report.json")
    _print(content, as_json, lambda console: show.report(console, out, content))


@app.command()
def verify(out: OutDir, as_json: AsJson = False) -> None:
    """Check every digest, every count, and that no record was lost."""
    from corpus.verify import verify as check

    result = check(out)
    _print(result, as_json, lambda console: show.verified(console, out, result))
    if result.problems:
        raise typer.Exit(1)


@app.command()
def explain(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A corpus, or a training run.")],
    document: Annotated[str | None, typer.Argument(metavar="DOC_ID|URL", help="Document of a corpus.")] = None,
    step: Annotated[int | None, typer.Option(min=1, help="Of a run: name the documents of this step.")] = None,
    read: Annotated[
        str | None,
        typer.Option("--document", metavar="DOC_ID|URL", help="Of a run: name the steps that read this document."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what became of a document and why, which documents a training step saw, or which steps saw a document."""
    from cluster import explaining

    if sum(asked is not None for asked in (document, step, read)) != 1:
        raise typer.BadParameter("give one of a document of a corpus, --step N and --document ID of a run.")
    if step is not None:
        documents = explaining.explain_step(folder, step)
        _print(documents, as_json, lambda console: show.step(console, step, documents))
    elif read is not None:
        seen = explaining.explain_seen(folder, read)
        _print(seen, as_json, lambda console: show.seen(console, seen))
    else:
        explained = explaining.explain_document(folder, str(document))
        _print(explained, as_json, lambda console: show.explained(console, explained))


@app.command()
def whatif(
    out: OutDir,
    overrides: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Changed threshold. Repeatable.")],
    as_json: AsJson = False,
) -> None:
    """Tell what other thresholds would keep, from stored scores alone."""
    from corpus.whatif import whatif as decide_again

    result = decide_again(out, overrides)
    _print(result, as_json, lambda console: show.whatif(console, result))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A corpus.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another corpus.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Tell which documents changed fate between two corpora."""
    from corpus.diff import diff as compare

    result = compare(first, second)
    _print(result, as_json, lambda console: show.difference(console, result))


@app.command()
def remove(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A finished corpus: stays as it is.", show_default=False)
    ],
    ids: Annotated[str | None, typer.Option(metavar="FILE", help="Document ids, one a line.")] = None,
    urls: Annotated[str | None, typer.Option(metavar="FILE", help="URLs, one a line.")] = None,
    domains: Annotated[str | None, typer.Option(metavar="FILE", help="Domains, with all hosts below them.")] = None,
    near: Annotated[bool, typer.Option("--near", help="Also all documents that are duplicates of the same.")] = False,
    out: Annotated[str | None, typer.Option(metavar="NEW", help="Folder of the new version. [default: DIR-v2]")] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="Training run whose steps to look through. Repeatable."),
    ] = None,
    runner: RunnerName = "local",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Take documents out of a corpus: writes a new version of it, and tells where they have been."""
    from cluster.removing import remove_documents
    from corpus.removal_lists import read_lists

    if ids is None and urls is None and domains is None:
        raise typer.BadParameter("give at least one of --ids, --urls and --domains.")
    if address is not None and runner == "local":
        raise typer.BadParameter("--address is for --runner ray.")
    result = remove_documents(folder, read_lists(ids, urls, domains), near, out, runs or [], (runner, address))
    _print(result, as_json, lambda console: show.removed(console, result))
    if result.not_found:
        raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="Manifests or their folders; or JSONL files.")],
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Training config (TOML).")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the run. [default: DATA-run]")] = None,
    workers: Annotated[
        str, typer.Option(metavar="N|MIN:MAX", help="Ray Train workers; a range takes what there is.")
    ] = "1",
    address: Address = None,
) -> None:
    """Train a model from corpora or examples with Ray Train; run again to continue."""
    from cluster.run import train_model

    result = train_model(data, config, out, _worker_range(workers), address)
    show.trained(show.console(), result)


def _worker_range(workers: str) -> tuple[int, int]:
    """Fewest and most workers: "2" is (2, 2), "1:4" is (1, 4)."""
    fewest, _, most = workers.partition(":")
    most = most or fewest
    if not (fewest.isdecimal() and most.isdecimal() and 1 <= int(fewest) <= int(most)):
        raise typer.BadParameter(f"--workers {workers}: give a number from 1, or MIN:MAX.")
    return int(fewest), int(most)


@app.command()
def losses(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a training run.", show_default=False)],
    out: Annotated[str, typer.Option(metavar="FILE", help="Parquet file to write.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write the loss of each document that a run was trained on, for `[[filter]] rule = "trained_loss"`."""
    from cluster.losses import compact, told

    found = compact(run, out)
    _print(found, as_json, lambda console: console.print(show.plain(told(found), 1000)))


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CHECKPOINT|HF_DIR",
            help="A run, a checkpoint in its run, or a model in the Hugging Face layout.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="CORPUS|FILE", help="Also this held-out corpus, or JSON Lines of texts. Repeatable."),
    ] = None,
    choices: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Multiple choice (JSON Lines). Repeatable.")
    ] = None,
    generate: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Exact match (JSON Lines). Repeatable.")
    ] = None,
    bias: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Pairs of sentences (JSON Lines). Repeatable.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a continuation, for --generate.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Measure a model: loss by slice, multiple choice, exact match, bias beside the corpus audit."""
    from cluster import show_evaluation
    from cluster.evaluating import evaluate_model
    from trainer.config import EvaluationConfig

    files = [
        *(EvaluationConfig(kind="choices", path=path) for path in choices or []),
        *(EvaluationConfig(kind="generate", path=path, max_tokens=max_tokens) for path in generate or []),
        *(EvaluationConfig(kind="bias", path=path) for path in bias or []),
    ]
    result = evaluate_model(model, data or [], files)
    _print(result, as_json, lambda console: show_evaluation.evaluated(console, result))


@app.command()
def ablate(
    corpora: Annotated[list[str], typer.Argument(metavar="A B ...", help="Corpora; A is the baseline.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder of runs and result.", show_default=False)],
    seeds: Annotated[int, typer.Option(min=2, help="Runs of each corpus, paired by seed.")] = 5,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Training config (TOML).")] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option("--eval", metavar="CORPUS|JSONL", help="Also measure on these held-out texts. Repeatable."),
    ] = None,
    control: Annotated[bool, typer.Option(help="Compare a smaller corpus with as many random rows of A.")] = True,
    effect: Annotated[float, typer.Option(min=1e-6, max=1.0, help="Share of bits per byte to plan seeds for.")] = 0.005,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train the same model on each corpus and tell which texts make it better; run again to go on."""
    from cluster import show_ablation
    from cluster.ablate import run_ablation
    from trainer.ablation.plan import Plan
    from trainer.config import TrainConfig, read_config

    settings = read_config(config) if config else TrainConfig()
    plan = Plan(tuple(corpora), settings, tuple(held_out or []), seeds, control, jobs, effect)
    result = run_ablation(plan, out, lambda line: print(show.plain(line, 1000), file=sys.stderr, flush=True))
    _print(result, as_json, lambda console: show_ablation.ablation(console, result))


@app.command("filters")
def filter_pages(
    rule: Annotated[str | None, typer.Argument(metavar="RULE", help="Whose page to print.")] = None,
) -> None:
    """List the filters, or print the page of one: definitions, known harm, thresholds, sources."""
    from filters import pages

    if rule is None:
        print("\n".join(f"{name:22} {line}" for name, line in pages.first_lines().items()))
    else:
        print(pages.page(rule), end="")


@app.command()
def doctor(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="For --warm: a recipe file or a preset. [default: the sample's]"),
    ] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile the kernels now instead of in the first build.")
    ] = False,
) -> None:
    """Check this machine: versions, models, shadowed packages, compiled kernels."""
    from cluster import doctor as look

    if recipe is not None and not warm:
        raise typer.BadParameter("RECIPE tells --warm whose kernels to compile: not without it.")
    if warm:
        show.console().print(show.plain(f"kernels: {look.warm(recipe):.0f} s of compiling"))
    checks = look.examine()
    show.checks(show.console(), checks)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


@app.command()
def sample(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write to.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything in it.")] = 7,
    pages: Annotated[int, typer.Option(min=200, help="Number of pages.")] = 2400,
) -> None:
    """Write a small made-up crawl with a recipe and a list of what is planted in it."""
    from corpus.sample import write_sample

    write_sample(folder, seed, pages)
    show.console().print(show.plain(f"{folder}: sample crawl and {folder}/recipe.toml", 1000))


@app.command()
def demo(folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to work in.")] = "demo") -> None:
    """Make the sample crawl, build it with Ray, train a small model, and say a line from it."""
    from cluster.demo import run_demo

    run_demo(folder, show.console())


def read_json(uri: str) -> dict[str, Any]:
    """A JSON file of a corpus. Raises InputError if it is not there."""
    from manifests import shards
    from manifests.errors import InputError, IntegrityError

    try:
        content: dict[str, Any] = json.loads(shards.read_bytes(uri))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{uri}: there is no report. Is it the folder of a corpus whose build got that far?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{uri}: is not JSON ({error}). Run the build again.") from None
    return content


def _print(result: Any, as_json: bool, text: Any) -> None:
    """A result as JSON, or as text by a function of a console."""
    if not as_json:
        text(show.console())
        return
    # ASCII only: as it is, a document's text could hold what a terminal obeys.
    print(json.dumps(result, indent=1, default=_as_json))


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def main() -> None:
    """Entry point `gristmill`: exit code 0, 1 for a library error (one line on stderr), 2 for a wrong call."""
    from cluster.doctor import shadowed

    if foreign := shadowed():
        _fail(f"{foreign[0].name} is {foreign[0].found}. {foreign[0].remedy}", 1)
    from manifests.errors import GristmillError

    try:
        app()
    except GristmillError as error:
        _fail(str(error), 1)
    except OSError as error:  # a path or a connection; where we know more we say it with an error of ours
        _fail(f"{error}. Check the path, the permissions and the connection.", 1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _fail("stopped. Finished work is kept: run the same command again to go on.", INTERRUPTED)
        raise


def _fail(message: str, code: int) -> NoReturn:
    print(f"gristmill: {' '.join(str(show.plain(message, 10_000)).split())}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()

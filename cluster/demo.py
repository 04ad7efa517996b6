"""The demo: a made-up crawl, a corpus of it built with Ray, a small model trained from that, and a line from it."""

from pathlib import Path

import pyarrow as pa
from rich.console import Console

from cluster import show
from cluster.run import build_corpus, report_step
from corpus.sample import compare, write_sample
from corpus.tokenizers import load_tokenizer
from manifests import ledger
from manifests.manifest import Manifest
from trainer.checkpoint import latest_checkpoint
from trainer.config import ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from trainer.generate import generate

PROMPT = "The"
NUM_TOKENS = 48
STEPS = 450
TEMPERATURE = 0.6


def run_demo(folder: str, console: Console, pages: int = 2400, steps: int = STEPS) -> None:
    """Run all of it below `folder`; run again, it goes on where it stopped."""
    crawl, corpus, run = (str(Path(folder, name)) for name in ("crawl", "corpus", "run"))
    _heading(console, "1. a crawl, made up")
    if not Path(crawl, "recipe.toml").exists():
        write_sample(crawl, num_pages=pages)
    console.print(show.plain(f"{crawl}: WARC and WET shards, recipe.toml, and truth.jsonl: what is planted"))
    _heading(console, "2. the corpus, built with Ray Data")
    manifest = build_corpus(str(Path(crawl, "recipe.toml")), corpus, "ray", None, None, [])
    show.manifest(console, corpus, manifest)
    table = pa.table(ledger.scan(corpus).collect().to_arrow())
    rows = [
        {"planted": kind, "pages": planted, "found": found}
        for kind, planted, found in compare(str(Path(crawl, "truth.jsonl")), table)
    ]
    console.print(show.table("planted against found", rows))
    _heading(console, "3. a model, trained from the manifest with Ray Train")
    _train(corpus, run, steps, console)
    console.print(show.plain(f"`gristmill explain {run} --step 1` names the documents of its first step"))
    _heading(console, "4. a line from it")
    console.print(show.plain(_say(corpus, manifest, run), 1000), soft_wrap=True)
    console.print()
    console.print(show.plain(f"report: {corpus}/report.html"))


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def _train(corpus: str, run: str, steps: int, console: Console) -> None:
    from cluster.ray_data import connect
    from cluster.ray_train import train_with_ray

    with connect():
        result = train_with_ray([corpus], _config(steps), run, (1, 1), None, report_step)
    show.trained(console, result)


def _config(steps: int) -> TrainConfig:
    """Shallow and quick to learn: a minute or two on two cores."""
    return TrainConfig(
        steps=steps,
        global_batch=8,
        micro_batch=8,
        report_every=max(1, steps // 10),
        eval_every=steps,
        model=ModelConfig(layers=2),
        optimizer=OptimizerConfig(lr=8e-3),
        schedule=ScheduleConfig(warmup_steps=min(10, steps)),
    )


def _say(corpus: str, manifest: Manifest, run: str) -> str:
    tokenizer = load_tokenizer(f"{corpus}/{manifest.tokenizer.path}", manifest.tokenizer.pretokenizer)
    checkpoint = latest_checkpoint(run)
    assert checkpoint is not None
    prompt, _ = tokenizer.encode(pa.array([PROMPT], pa.large_string()))
    line = generate(checkpoint, prompt.tolist(), NUM_TOKENS, TEMPERATURE, seed=1)
    return tokenizer.decode([*prompt.tolist(), *line])

"""Training speed on an accelerator: tokens a second, share of the peak, loader wait, recompilations, memory, parity.

    python -m tests.bench.gpu [--cpu-tiny] [--steps N] [--micro-batch N] [--write]

Decoders of 1.3 and 0.76 billion weights train in bf16 on packed rows of 2,048 tokens, through the trainer's own loop
and stream. The corpus is made on the spot: ids by frequency 1 / rank, documents of lognormal length, one after another
and cut where a row is full. Neither Ray nor a network is needed. --cpu-tiny is the same with a model for two cores.
"""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch._dynamo

from manifests import shards
from manifests.manifest import Shard, write_manifest
from manifests.schemas import packed_schema, token_column
from tests.trainer.synthetic import END_OF_TEXT, make_corpus
from trainer.attention import Path as AttentionPath
from trainer.attention import attention_path
from trainer.config import ModelConfig, ScheduleConfig, TrainConfig
from trainer.context import Context
from trainer.data import open_data
from trainer.flops import peak_flops
from trainer.loop import train
from trainer.model import Decoder
from trainer.objectives.causal import Causal, Tensors
from trainer.precision import has_bf16

LENGTH, VOCAB_SIZE, NUM_SHARDS = 2048, 50_304, 4
# Tokens in a document; about those of filtered web pages.
MEDIAN_LENGTH, SIGMA = 420, 0.95
WARM_UP = 3


@dataclass(frozen=True)
class Size:
    """A model to train. goal: tokens a second that one H200 is to reach or exceed."""

    name: str
    model: ModelConfig
    global_batch: int
    micro_batch: int
    goal: int | None = None


SIZES = (
    Size("1.3B", ModelConfig(layers=24, width=2048, heads=16, kv_heads=16, hidden=5504), 32, 8, 45_000),
    Size("760M", ModelConfig(layers=24, width=1536, heads=12, kv_heads=12, hidden=4096), 32, 8, 63_000),
)
TINY = (Size("tiny", ModelConfig(layers=4, width=256, heads=4, kv_heads=2, hidden=704), 4, 2),)


def make_tokens(num_rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows uint16 (num_rows, LENGTH + 1), and where the pieces of documents start in all their tokens, int64."""
    total = num_rows * (LENGTH + 1)
    lengths = np.maximum(2, generator.lognormal(np.log(MEDIAN_LENGTH), SIGMA, total // 100)).astype(np.int64)
    ends = np.cumsum(lengths)
    ends = ends[ends < total]
    tokens = np.exp(generator.random(total, dtype=np.float32) * np.log(VOCAB_SIZE - 1)).astype(np.uint16)
    tokens[ends - 1] = END_OF_TEXT
    starts = np.unique(np.concatenate([np.arange(num_rows) * (LENGTH + 1), ends]))
    return tokens.reshape(num_rows, LENGTH + 1), starts


def packed_table(num_rows: int, generator: np.random.Generator) -> pa.Table:
    """Rows of the packed schema, full to the last token."""
    rows, starts = make_tokens(num_rows, generator)
    lengths = np.diff(starts, append=rows.size)
    counts = np.bincount(starts // (LENGTH + 1), minlength=num_rows)
    bounds = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    known = {"segment_length": lengths, "segment_bytes": 4 * lengths}
    columns = {"tokens": token_column(rows)}
    schema = packed_schema(pa.uint16(), LENGTH)
    for field in schema:
        if field.name != "tokens":
            values = known.get(field.name, np.zeros(len(lengths), np.int64))
            flat = pa.array([f"{number:032x}" for number in range(len(lengths))] if "doc" in field.name else values)
            columns[field.name] = pa.ListArray.from_arrays(bounds, flat.cast(field.type.value_type), type=field.type)
    return pa.table(columns, schema=schema)


def write_corpus(folder: Path, num_rows: int) -> None:
    """A corpus of packed rows without a text behind them."""
    manifest = make_corpus(folder, [], [], LENGTH, VOCAB_SIZE)
    generator = np.random.default_rng(0)
    found = []
    for number in range(NUM_SHARDS):
        path = f"packed/{LENGTH}/train-0000-{number:05d}.parquet"
        entry = shards.write_table(str(folder / path), packed_table(num_rows // NUM_SHARDS, generator), path)
        facts = {"path": path, "rows": entry.rows, "bytes": entry.bytes, "sha256": entry.sha256}
        kind = {"kind": "packed", "split": "train", "source": "even", "tokens": entry.rows * (LENGTH + 1)}
        found.append(Shard.model_validate(facts | kind))
    write_manifest(str(folder), manifest.model_copy(update={"shards": found}))


def config_of(size: Size, steps: int) -> TrainConfig:
    """A run of this size; only its end is saved."""
    return TrainConfig(
        steps=steps, global_batch=size.global_batch, micro_batch=size.micro_batch, compile=True, report_every=1,
        checkpoint_every=steps, eval_every=steps, keep_checkpoints=1, model=size.model,
        schedule=ScheduleConfig(warmup_steps=1),
    )  # fmt: skip


def measure(corpus: Path, size: Size, steps: int, device: torch.device) -> dict[str, Any]:
    """Train, and say what the steps after the warm-up took by the clock: their whole time, logs and loader included."""
    ends: list[float] = []
    lines: list[dict[str, Any]] = []

    def report(metrics: dict[str, Any]) -> None:
        ends.append(time.perf_counter())
        lines.append(metrics)

    # Another model's shapes in the compiler's memory would make it look for one kernel for both.
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as out:
        train([str(corpus)], config_of(size, steps), out, Context(device=device, report=report))
    # The last step ends with a checkpoint, whose time is another figure.
    seconds = np.diff(ends[WARM_UP - 1 : -1])
    measured = lines[WARM_UP:-1]
    flops = sum(line["model_flops_per_second"] * line["step_seconds"] for line in measured)
    peak = peak_flops(device)
    return {
        "tokens_per_second": size.global_batch * LENGTH / float(np.median(seconds)),
        "flops_per_second": flops / seconds.sum(),
        "utilisation": None if peak is None else flops / seconds.sum() / peak,
        "loader_wait_ratio": sum(line["loader_wait_seconds"] for line in measured) / seconds.sum(),
        "recompilations": measured[-1]["num_compiled_graphs"] - lines[WARM_UP - 1]["num_compiled_graphs"],
        "graphs": measured[-1]["num_compiled_graphs"],
        "memory_bytes": measured[-1]["memory_bytes"],
        "first_step_seconds": lines[0]["step_seconds"],
        "loss": (lines[0]["loss"], lines[-1]["loss"]),
    }


def losses_and_gradients(
    model: Decoder, tensors: Tensors, path: AttentionPath, half: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Losses of all tokens, and all gradients in one vector; None where the path has none on this device."""
    model.attention = path
    model.zero_grad()
    device_type = tensors.inputs.device.type
    has_gradients = path != "flex" or device_type != "cpu"
    with torch.set_grad_enabled(has_gradients), torch.autocast(device_type, torch.bfloat16, enabled=half):
        values = Causal().losses(model, tensors).values
    if not has_gradients:
        return values, None
    values.sum().backward()
    return values.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def parity(corpus: Path, size: Size, device: torch.device) -> list[str]:
    """Lines of a table: the paths against one mask over whole rows, by two layers of the model on rows of the corpus.

    Flex attention is compiled as in training, but on a CPU, where torch has no kernel with gradients.
    """
    shape = size.model.model_copy(update={"layers": 2})
    plain, compiled = (Decoder(shape, VOCAB_SIZE, 0).to(device) for _ in range(2))
    if device.type == "cuda":
        torch._dynamo.reset()
        compiled.compile_parts(device.type)
    data = open_data([str(corpus)], config_of(size, WARM_UP))
    tensors = Causal().tensors(data.train.batch(1, 0, 1).cut(0, 2), device)
    models: dict[AttentionPath, Decoder] = {"documents": plain, "flex": compiled}
    lines = []
    for half in (False, True) if device.type == "cuda" else (False,):
        reference, gradient = losses_and_gradients(plain, tensors, "mask", half)
        assert gradient is not None
        for path, model in models.items():
            values, own = losses_and_gradients(model, tensors, path, half)
            off = "none on a CPU" if own is None else f"{float((own - gradient).norm() / gradient.norm()):.1e}"
            apart = float((values - reference).abs().max())
            lines.append(f"| {size.name} | {path} | {'bf16' if half else 'fp32'} | {apart:.1e} | {off} |")
    return lines


def table(size: Size, found: dict[str, Any]) -> str:
    """The line of a model."""
    utilisation = "no peak known" if found["utilisation"] is None else f"{found['utilisation']:.1%}"
    goal = "" if size.goal is None else f"{size.goal:,}"
    return (
        f"| {size.name} | {found['tokens_per_second']:,.0f} | {goal} | {found['flops_per_second'] / 1e12:,.3f} | "
        f"{utilisation} | {found['loader_wait_ratio']:.3%} | {found['recompilations']} of {found['graphs']} | "
        f"{found['memory_bytes'] / 2**30:.1f} | {found['first_step_seconds']:.0f} | "
        f"{found['loss'][0]:.3f}, {found['loss'][1]:.3f} |"
    )


def report_of(sizes: tuple[Size, ...], steps: int, device: torch.device) -> list[str]:
    """The page's lines; tables are printed as they come."""
    warnings.filterwarnings("ignore", "flex_attention called without torch.compile")  # the reference on a CPU
    num_rows = NUM_SHARDS * max(256, -(-steps * max(size.global_batch for size in sizes) // NUM_SHARDS))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    precision = "bf16" if has_bf16(device) else "fp32"
    lines = [
        f"{name}, torch {torch.__version__}, Python {platform.python_version()}, {precision}, load "
        f"{os.getloadavg()[0]:.1f}; {steps} steps, the first {WARM_UP} and the last left out; attention: "
        f"{attention_path(device.type, True, sizes[0].model.head_width)}.",
        "",
        "| model | tokens/s | goal | model TFLOP/s | of the peak | loader wait | recompiled | GiB | first step, s "
        "| loss, first and last |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        write_corpus(corpus, num_rows)
        for size in sizes:
            lines.append(table(size, measure(corpus, size, steps, device)))
            print(lines[-1], flush=True)
        against = [
            "",
            "| model | path, against one mask | precision | largest difference of a loss | gradients, relative |",
            "|---|---|---|---:|---:|",
            *(line for size in sizes for line in parity(corpus, size, device)),
        ]
    print("\n".join(against), flush=True)
    return [*lines, *against]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu")
    parser.add_argument("--cpu-tiny", action="store_true", help="a small model on this machine's CPU")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--micro-batch", type=int, help="rows in one forward pass")
    parser.add_argument("--write", action="store_true", help="keep the page in tests/bench/results")
    parsed = parser.parse_args()
    if not (parsed.cpu_tiny or torch.cuda.is_available()):
        sys.exit("there is no CUDA device: --cpu-tiny runs the same with a small model on the CPU")
    if parsed.steps < WARM_UP + 3:
        sys.exit(f"--steps {parsed.steps}: give at least {WARM_UP + 3}, of which {WARM_UP} warm up and the last saves")
    device = torch.device("cpu") if parsed.cpu_tiny else torch.device("cuda", 0)
    sizes = tuple(
        replace(size, micro_batch=parsed.micro_batch or size.micro_batch)
        for size in (TINY if parsed.cpu_tiny else SIZES)
    )
    lines = report_of(sizes, parsed.steps, device)
    if parsed.write:
        kind = "cpu_tiny" if parsed.cpu_tiny else torch.cuda.get_device_name(device).lower().replace(" ", "_")
        day = datetime.date.today().isoformat()
        page = Path(__file__).parent / "results" / f"gpu_{kind}_{day}.md"
        title = f"# Training speed, {kind.replace('_', ' ')}, {day}"
        page.write_text("\n".join([title, "", f"`python -m tests.bench.gpu`: {lines[0]}", *lines[1:], ""]), "utf-8")


if __name__ == "__main__":
    main()

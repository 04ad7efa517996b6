"""`python -m trainer DATA... --out DIR [--config FILE]`: train alone, or as a worker of torchrun."""

import argparse
import os
import sys
from typing import Any

from manifests.errors import GristmillError
from trainer.config import TrainConfig, read_config
from trainer.context import torchrun_context
from trainer.loop import train
from trainer.run_files import only_writer


def progress_line(metrics: dict[str, Any]) -> str:
    """One line about a step, for a terminal or a log; a second and more where its loss is a spike."""
    line = (
        f"step {metrics['step']}  loss {metrics['loss']:.4f}  grad norm {metrics['grad_norm']:.3f}  "
        f"lr {metrics['lr']:.2e}  {metrics['tokens_per_second']:,.0f} tokens/s"
    )
    if "validation_loss" in metrics:
        line += f"  validation loss {metrics['validation_loss']:.4f}"
    if "validation_bits_per_byte" in metrics:
        line += f"  {metrics['validation_bits_per_byte']:.4f} bits per byte"
    return "\n".join([line, *_spike_lines(metrics)])


def _spike_lines(metrics: dict[str, Any]) -> list[str]:
    """Loss by source, and the documents that the spike comes from. Names of examples' files may hold anything."""
    if "spike" not in metrics:
        return []
    spike, step = metrics["spike"], metrics["step"]
    by_source = sorted(metrics["loss_by_source"].items(), key=lambda pair: -pair[1])
    sources = ", ".join(f"{name} {loss:.4f}" for name, loss in by_source)
    lines = [f"  spike: loss {metrics['loss']:.4f}, usual {spike['usual_loss']:.4f}; by source {sources}"]
    lines += [
        f"  {document['doc_id']}  loss {document['loss']:.4f} over {document['num_targets']} targets, from token "
        f"{document['segment_start']}, source {document['source']}"
        for document in spike["documents"]
    ]
    lines.append(f"  all documents of the step: gristmill explain RUN --step {step}")
    return ["".join(char if char.isprintable() else " " for char in line) for line in lines]


def _print_progress(metrics: dict[str, Any]) -> None:
    print(progress_line(metrics), flush=True)


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0, or 1 after an error that is told in one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Train a model from corpora or examples.")
    parser.add_argument("data", nargs="+", help="manifest.json of a corpus, or its folder; or a JSONL file of examples")
    parser.add_argument("--out", required=True, help="folder of the run; the same command goes on where it stopped")
    parser.add_argument("--config", help="TOML file; without it the defaults, which suit a demo on two cores")
    parsed = parser.parse_args(arguments)
    try:
        config = read_config(parsed.config) if parsed.config else TrainConfig()
        with torchrun_context(_print_progress) as context, only_writer(parsed.out, context.rank):
            train(parsed.data, config, parsed.out, context)
    except GristmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # gloo's threads abort a process now and then while the interpreter is taken down (seen 3 times in 14).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)

"""`python -m trainer.ablation.worker CORPUS --config FILE --out DIR --held-out CORPUS ...`: one run of an ablation.

Trains, or goes on from the last checkpoint, then measures the last checkpoint on each held-out set. A process of its
own, so that what kills one run leaves the others.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from manifests import shards
from manifests.digest import digest_json
from manifests.errors import GristmillError
from manifests.lock import locked
from manifests.manifest import manifest_digest
from trainer import checkpoint
from trainer.ablation.held_out import HeldOut, losses_by_document
from trainer.config import OPERATIONAL, TrainConfig, read_config
from trainer.context import Context, torchrun_context
from trainer.loop import train

# Raise it when the same run gives other losses.
VERSION = 1


def losses_file(out: str, digest: str, config: TrainConfig, held_out: HeldOut) -> str:
    """Where the run in `out` keeps its losses on a held-out set; another corpus, config or set is another file."""
    settings = {key: value for key, value in config.model_dump(mode="json").items() if key not in OPERATIONAL}
    key = digest_json([VERSION, digest, settings, held_out.manifest.digest])
    return shards.join(out, "held_out", f"{key[:16]}.parquet")


def run_arm(path: str, config: TrainConfig, out: str, held_out: Sequence[HeldOut], context: Context) -> None:
    """Train on the corpus at `path` and write the losses on each held-out set, unless that is done.

    Raises StorageError if another process does so, such as one that outlived a killed ablation.
    """
    digest = manifest_digest(path)
    files = {losses_file(out, digest, config, one): one for one in held_out}
    missing = {uri: one for uri, one in files.items() if not shards.exists(uri)}
    if not missing:
        return
    with locked(out):
        train((path,), config, out, context)
        folder = checkpoint.latest_checkpoint(out)
        assert folder is not None
        model = checkpoint.read_model(folder)[0].to(context.device).eval()
        for uri, one in missing.items():
            shards.write_table(uri, losses_by_document(model, one, config.micro_batch, context.device))


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0, or 1 after an error that is told in one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m trainer.ablation.worker", description="One run of an ablation.")
    parser.add_argument("corpus")
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--held-out", nargs="+", required=True)
    parsed = parser.parse_args(arguments)
    try:
        held_out = [HeldOut(path, path) for path in parsed.held_out]
        with torchrun_context(lambda metrics: None) as context:
            run_arm(parsed.corpus, read_config(parsed.config), parsed.out, held_out, context)
    except GristmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except torch.OutOfMemoryError as error:
        print(f"error: {error} Lower micro_batch in the config.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What an ablation compares, and everything that is wrong with it found before anything is trained."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from manifests.errors import RecipeError
from manifests.manifest import Manifest, corpus_root, read_manifest
from trainer.ablation.held_out import HeldOut
from trainer.config import TrainConfig

MAX_CORPORA = 26


@dataclass(frozen=True)
class Plan:
    """What to compare.

    corpora: paths, the baseline first. held_out: paths of corpora whose validation split is used beside those of
    `corpora`. jobs: runs at a time. effect_ratio: the share of the baseline's bits per byte for which to tell how many
    seeds would show it.
    """

    corpora: tuple[str, ...]
    config: TrainConfig
    held_out: tuple[str, ...] = ()
    num_seeds: int = 5
    control: bool = True
    jobs: int = 1
    effect_ratio: float = 0.005

    @property
    def seeds(self) -> range:
        """config.seed and those after it."""
        return range(self.config.seed, self.config.seed + self.num_seeds)


def letter(number: int) -> str:
    """What the corpus of this number, counted from 0, is called: A, B, ..."""
    return chr(ord("A") + number)


def check(plan: Plan) -> list[Manifest]:
    """The manifests of the corpora. Raises RecipeError for what cannot be compared."""
    if not 2 <= len(plan.corpora) <= MAX_CORPORA:
        raise RecipeError(f"{len(plan.corpora)} corpora: an ablation compares 2 to {MAX_CORPORA}, the baseline first.")
    if plan.num_seeds < 2:
        raise RecipeError(f"{plan.num_seeds} seed has no spread, so no interval. Give --seeds 2 or more.")
    if plan.config.objective != "causal":
        raise RecipeError(f"objective {plan.config.objective!r}: bits per byte are of next tokens. Set it to 'causal'.")
    if plan.config.early_stopping is not None:
        raise RecipeError("early_stopping would give the arms unlike numbers of steps. Leave it out of the config.")
    manifests = [read_manifest(path) for path in plan.corpora]
    digests = [manifest.digest for manifest in manifests]
    for number, digest in enumerate(digests):
        if digest in digests[:number]:
            first = plan.corpora[digests.index(digest)]
            raise RecipeError(f"{first} and {plan.corpora[number]} are the same corpus (digest {digest[:16]}…).")
    for path, manifest in zip(plan.corpora, manifests, strict=True):
        _check_alike(plan.corpora[0], manifests[0], path, manifest)
    return manifests


def held_out_sets(plan: Plan, manifests: Sequence[Manifest]) -> list[HeldOut]:
    """The validation splits of the corpora that have one, then the sets that were asked for.

    Raises RecipeError if there is none, two have one name, or the models cannot read one.
    """
    found = [
        HeldOut(f"validation of {letter(number)}", path)
        for number, (path, manifest) in enumerate(zip(plan.corpora, manifests, strict=True))
        if manifest.packing.num_validation_rows
    ]
    found += [HeldOut(os.path.basename(corpus_root(path)), path) for path in plan.held_out]
    if not found:
        raise RecipeError(
            "none of the corpora has validation rows. Build them with a [pack] validation_ratio above 0, or name "
            "held-out texts with --eval."
        )
    names = [one.name for one in found]
    for one in found:
        if names.count(one.name) > 1:
            raise RecipeError(f"two held-out sets are named {one.name!r}: give their folders or files unlike names.")
        _check_alike(plan.corpora[0], manifests[0], one.path, one.manifest)
    return found


def _check_alike(first: str, baseline: Manifest, path: str, manifest: Manifest) -> None:
    """Raise RecipeError unless one model can read both.

    Bits per byte would compare models with two tokenizers, but the models, and what a step reads, would differ too.
    """
    mine, other = baseline.tokenizer, manifest.tokenizer
    if mine.rules != other.rules:
        file = f"{corpus_root(first)}/{mine.path}"
        pretokenizer = f" and pretokenizer = {json.dumps(mine.pretokenizer)}" if mine.pretokenizer else ""
        raise RecipeError(
            f"{path}: its tokenizer (SHA-256) is {other.rules}, that of {first} {mine.rules}: the "
            f"models would differ in more than their texts. Build it with [tokenize] tokenizer = {json.dumps(file)}"
            f"{pretokenizer}."
        )
    if baseline.packing.length != manifest.packing.length:
        raise RecipeError(
            f"{path}: its rows have {manifest.packing.length} tokens, those of {first} {baseline.packing.length}: the "
            f"models would differ in their context. Build it with [pack] length = {baseline.packing.length}."
        )

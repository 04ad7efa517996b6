"""Which corpus makes the better model: the same model trained on each with paired seeds, compared on held-out texts.

The runs of a seed share initialisation, schedule, number of steps and the keys of every draw; only the corpus differs.
A corpus that has fewer tokens than the baseline is read more often, so it is compared with a control too: as many
tokens of the baseline, drawn at random anew for each seed. Intervals are over seeds; the held-out texts are given.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests import shards
from manifests.errors import RecipeError
from manifests.lock import locked
from trainer.ablation.arms import Arm, Report, make_arms, run_all, runs_of
from trainer.ablation.held_out import HeldOut, documents_of, overlaps, slices
from trainer.ablation.plan import Plan, check, held_out_sets, letter
from trainer.paired import PairedDifference, holm, paired_difference, seeds_needed
from trainer.run_files import absolute

RESULT = "ablation.json"
FORMAT = "gristmill-ablation/1"


@dataclass(frozen=True)
class Texts:
    """A held-out set. left_out: corpus -> documents that its training split has, by id and by text; others count."""

    name: str
    path: str
    digest: str
    num_documents: int
    num_counted: int
    left_out: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Comparison:
    """Arm `second` against arm `first` on one slice: mean bits per byte of both, and the difference second - first.

    holm_p_value: corrected for all comparisons of the ablation. more_seeds: how many more would show a difference of
    effect_ratio of the first arm's bits per byte with power 0.8 at level 0.05; None: out of reach.
    """

    held_out: str
    slice: str
    first: str
    second: str
    num_documents: int
    bits_per_byte: tuple[float, float]
    difference: PairedDifference
    holm_p_value: float
    more_seeds: int | None


@dataclass(frozen=True)
class Ablation:
    """The result; DIR/ablation.json holds it as JSON."""

    format: str
    arms: list[Arm]
    held_out: list[Texts]
    comparisons: list[Comparison]
    num_seeds: int
    effect_ratio: float
    config: dict[str, Any]


def ablate(plan: Plan, out: str, report: Report) -> Ablation:
    """Train what is not trained yet below `out`, compare, write ablation.json. report: gets a line now and then.

    Run again with more seeds or corpora it trains only what is new. Raises RecipeError, InputError and IntegrityError
    before anything is trained; JobFailed, naming them, if runs failed: all others are finished by then.
    """
    out = absolute(out)
    plan = replace(plan, corpora=tuple(map(absolute, plan.corpora)), held_out=tuple(map(absolute, plan.held_out)))
    manifests = check(plan)
    held_out = held_out_sets(plan, manifests)
    with locked(out):
        texts, contaminated = _contamination(plan, held_out, report)
        arms = make_arms(plan, manifests, out)
        run_all(plan, arms, held_out, out, report)
        comparisons = [
            comparison
            for one, ids in zip(held_out, contaminated, strict=True)
            for comparison in _compare(plan, arms, one, ids, out)
        ]
        result = Ablation(
            format=FORMAT,
            arms=arms,
            held_out=texts,
            comparisons=_corrected(comparisons),
            num_seeds=plan.num_seeds,
            effect_ratio=plan.effect_ratio,
            config=plan.config.model_dump(mode="json"),
        )
        text = json.dumps(asdict(result), indent=1, allow_nan=False) + "\n"
        shards.write_bytes(shards.join(out, RESULT), text.encode("utf-8"))
    return result


def _contamination(plan: Plan, held_out: Sequence[HeldOut], report: Report) -> tuple[list[Texts], list[frozenset[str]]]:
    """What is said of each held-out set, and the ids of its documents that some corpus trains on."""
    texts, contaminated = [], []
    by_corpus = {letter(number): overlaps(held_out, path) for number, path in enumerate(plan.corpora)}
    for place, one in enumerate(held_out):
        found = {name: of_sets[place] for name, of_sets in by_corpus.items()}
        ids = frozenset().union(*(both.by_id | both.by_text for both in found.values()))
        num_documents = len(documents_of(one))
        num_counted = num_documents - len(ids)
        if not num_counted:
            raise RecipeError(
                f"{one.path}: each of its {num_documents} held-out documents is in the training split of a corpus."
            )
        counts = {name: {"by_id": len(both.by_id), "by_text": len(both.by_text)} for name, both in found.items()}
        texts.append(Texts(one.name, one.path, one.manifest.digest, num_documents, num_counted, counts))
        contaminated.append(ids)
        report(f"{one.name}: {num_counted:,} of {num_documents:,} documents are in no training split")
    return texts, contaminated


def _compare(
    plan: Plan, arms: Sequence[Arm], held_out: HeldOut, left_out: frozenset[str], out: str
) -> list[Comparison]:
    """All pairs of arms on all slices of a held-out set; p-values are not corrected yet."""
    losses = {arm.name: [shards.read_table(run.losses(held_out)) for run in runs_of(plan, arm, out)] for arm in arms}
    table = losses[arms[0].name][0]
    doc_ids = table["doc_id"].to_pylist()
    assert all(one["doc_id"].to_pylist() == doc_ids for of_arm in losses.values() for one in of_arm)
    counted = np.array([doc_id not in left_out for doc_id in doc_ids])
    comparisons = []
    for name, documents in slices(table, counted).items():
        bits = {arm: [_bits_per_byte(one, documents) for one in of_arm] for arm, of_arm in losses.items()}
        for first, second in _pairs(arms):
            difference = paired_difference(bits[first], bits[second])
            means = float(np.mean(bits[first])), float(np.mean(bits[second]))
            needed = seeds_needed(difference.sd, plan.effect_ratio * means[0])
            comparisons.append(
                Comparison(
                    held_out=held_out.name,
                    slice=name,
                    first=first,
                    second=second,
                    num_documents=int(documents.sum()),
                    bits_per_byte=means,
                    difference=difference,
                    holm_p_value=difference.p_value,
                    more_seeds=None if needed is None else max(0, needed - plan.num_seeds),
                )
            )
    return comparisons


def _pairs(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """(first, second): each arm against the baseline, and what has a control against that."""
    baseline, *others = arms
    against = [(baseline.name, arm.name) for arm in others]
    return against + [(arm.name, arm.size_of) for arm in others if arm.size_of is not None]


def _bits_per_byte(losses: pa.Table, documents: npt.NDArray[np.bool_]) -> float:
    nats, num_bytes = (float(losses[name].to_numpy()[documents].sum()) for name in ("nats", "num_bytes"))
    return nats / math.log(2) / num_bytes


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    corrected = holm([comparison.difference.p_value for comparison in comparisons])
    return [replace(one, holm_p_value=p_value) for one, p_value in zip(comparisons, corrected, strict=True)]

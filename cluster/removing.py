"""Removal with progress, and with what the trainer knows of it: which steps read the removed documents."""

from dataclasses import dataclass, field, replace
from typing import Any

from cluster.explaining import read_trained
from cluster.run import chosen_runner, progress
from corpus.removal import packed_rows, remove, select
from corpus.removal_lists import Lists
from trainer.data import steps_of_documents


@dataclass(frozen=True)
class Removed:
    """A removal. parent: the old version; out, digest: of the new one, None where there was nothing to remove.

    removed: doc_id, url, fate until now, reason, asked (the line that names it; for remove.near the kept document of
    its component). rows: packed rows of the old version that held them. runs: of each training run the steps that read
    such rows of its corpus. readmitted, displaced, done: see corpus.removal.
    """

    parent: str
    parent_digest: str
    not_found: list[str]
    num_removed: dict[str, int]
    removed: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    out: str | None = None
    digest: str | None = None
    readmitted: list[dict[str, Any]] = field(default_factory=list)
    displaced: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, tuple[int, int]] = field(default_factory=dict)


def remove_documents(
    folder: str, lists: Lists, near: bool, out: str | None, runs: list[str], runner: tuple[str, str | None]
) -> Removed:
    """Find the documents, tell where they have been, and write the version without them.

    runner: its name, and for Ray the address. Nothing is written before all that can be wrong with the call is known.
    """
    chosen = select(folder, lists, near)
    found = chosen.documents.drop("unit", "row")
    doc_ids = found["doc_id"].to_list()
    counts = found["reason"].value_counts().sort("reason")
    seen = Removed(
        parent=chosen.root,
        parent_digest=chosen.manifest.digest,
        not_found=chosen.not_found,
        num_removed=dict(counts.iter_rows()),
        removed=found.to_dicts(),
        rows=packed_rows(chosen.root, chosen.manifest, doc_ids).to_dicts(),
        runs=[_steps(run, doc_ids) for run in runs],
    )
    if not doc_ids:
        return seen
    with chosen_runner(*runner) as maps, progress() as watch:
        done = remove(chosen, out, maps, watch)
    return replace(seen, **vars(done))


def _steps(run: str, doc_ids: list[str]) -> dict[str, Any]:
    """run, last_step, and steps: step, row and doc_id of each time that a step read one of the documents."""
    _, data, last_step = read_trained(run)
    read = steps_of_documents(data, last_step, doc_ids)
    steps = dict.fromkeys((part["step"], part["row"], part["doc_id"]) for part in read)  # parts of one row are one
    return {
        "run": run,
        "last_step": last_step,
        "steps": [dict(zip(("step", "row", "doc_id"), each, strict=True)) for each in steps],
    }

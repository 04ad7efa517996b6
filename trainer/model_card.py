"""The README of an exported model: what it was trained on, with whose licences, and how."""

from collections.abc import Sequence
from typing import Any

import tomli_w

from manifests.errors import GristmillError
from manifests.manifest import Manifest, read_manifest
from trainer.checkpoint import State
from trainer.config import CORPUS_OBJECTIVES

HEADER = """---
library_name: transformers
tags: [gristmill]
---
"""


def card(name: str, state: State, paths: Sequence[str], num_parameters: int, notes: Sequence[str]) -> str:
    """Markdown. paths: of the data; a corpus that is not there any more is named without its sources.

    notes: lines about what was done to the weights after training.
    """
    lines = [
        HEADER,
        f"# {name}",
        "",
        "A stub: say what the model is for and what it was found to do before sharing it.",
    ]
    lines += ["", f"* {num_parameters:,} parameters, context {state.length:,} tokens, {state.step:,} training steps"]
    lines += [f"* digest of the training data: `{state.manifest_digest}`"]
    lines += [f"* {note}" for note in notes]
    for path in paths:
        lines += ["", f"## Data: {_title(path)}", "", *_sources(path, state)]
    lines += ["", "## Training config", "", "```toml", tomli_w.dumps(_given(state)).strip(), "```", ""]
    return "\n".join(lines)


def _given(state: State) -> dict[str, Any]:
    """What the config sets; TOML has no null, and a key that is not there is the default."""
    given: dict[str, Any] = state.config.model_dump(mode="json", exclude_none=True)
    return given


def _title(path: str) -> str:
    return path.rstrip("/").removesuffix("/manifest.json").rsplit("/", 1)[-1]


def _sources(path: str, state: State) -> list[str]:
    if state.config.objective not in CORPUS_OBJECTIVES:
        return ["Examples in JSON Lines; add their licence here."]
    try:
        manifest = read_manifest(path)
    except GristmillError:
        return ["The corpus is not where it was; its manifest lists sources and licences."]
    return [f"Manifest digest `{manifest.digest}`.", "", *_table(manifest)]


def _table(manifest: Manifest) -> list[str]:
    rows = [f"| {source.name} | {source.licence} | {source.num_records:,} |" for source in manifest.sources]
    return ["| source | licence | records |", "|---|---|---:|", *rows]

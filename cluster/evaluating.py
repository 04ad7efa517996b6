"""What a model is worth, and beside its bias probes what the corpus audit says of the same groups of people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from corpus.tokenizers import Tokenizer, load_tokenizer
from manifests import shards
from manifests.errors import RecipeError
from manifests.manifest import NAME, corpus_root, read_manifest
from trainer.config import EvaluationConfig
from trainer.evaluation.files import ask, open_evaluations
from trainer.evaluation.slices import SliceSums
from trainer.evaluation.target import Target, open_target

RESULT = "evaluation.json"
TEXT_FILES = (".jsonl", ".jsonl.gz", ".jsonl.zst")

# What probes call a kind of identity -> what the audit calls it, where the names differ.
AUDIT_GROUPS = {"race-color": "ethnicity", "race": "ethnicity", "sexual-orientation": "orientation"}


@dataclass(frozen=True)
class CorpusTokenizer:
    """A corpus's tokenizer for lists of Python strings."""

    inner: Tokenizer

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        tokens, offsets = self.inner.encode(pa.array(texts, pa.large_string()))
        return [tokens[start:stop].tolist() for start, stop in pairwise(offsets)]

    def decode(self, ids: list[int]) -> str:
        """Their text."""
        return self.inner.decode(ids)


def evaluate_model(path: str, data: Sequence[str], files: Sequence[EvaluationConfig]) -> dict[str, Any]:
    """Evaluate a run, a checkpoint or a Hugging Face folder; writes evaluation.json into that folder.

    data: corpora, whose validation rows are read, and JSON Lines files of texts. Files are read before the model is
    loaded. Returns model, checkpoint, step; `validation` (of the run's own data) and `data` (by path): lists of rows
    slice, value and figures; `results`: those of each file by kind and path; `corpus`: of the audit, by group.
    """
    texts = [EvaluationConfig(kind="texts", path=name) for name in data if name.endswith(TEXT_FILES)]
    evaluations = open_evaluations([*texts, *files])
    corpora = [name for name in data if not name.endswith(TEXT_FILES)]
    for name in corpora:
        read_manifest(name)
    target = open_target(path)
    validation = target.validation()
    found = {
        "model": path,
        "checkpoint": target.folder,
        "step": target.step,
        "validation": _rows(validation) if validation is not None else [],
        "data": {name: _rows(target.corpus(name)) for name in corpora},
        "results": ask(target.language_model(_loader(target)), evaluations) if evaluations else {},
        "corpus": _audited(target) if any(entry.config.kind == "bias" for entry in evaluations) else {},
    }
    if not (found["validation"] or found["data"] or found["results"]):
        raise RecipeError(f"{path}: there is nothing to evaluate on. Give --data, --choices, --generate or --bias.")
    shards.write_bytes(shards.join(path, RESULT), (json.dumps(found, indent=1, ensure_ascii=True) + "\n").encode())
    return found


def _rows(sums: SliceSums) -> list[dict[str, Any]]:
    """Figures of everything, then of each slice."""
    rows = [{"slice": "all", "value": "", **sums.all()}]
    for kind in sums.kinds:
        rows += [{"slice": kind, "value": name, **figures} for name, figures in sums.by(kind).items()]
    return rows


def _loader(target: Target) -> Any:
    """How the tokenizer is loaded: of a corpus with the split rule in its manifest, of others from the file alone."""
    paths = target.run.paths if target.run is not None else ()
    rule = None
    if paths and shards.exists(shards.join(corpus_root(paths[0]), NAME)):
        rule = read_manifest(paths[0]).tokenizer.pretokenizer
    return lambda uri: CorpusTokenizer(load_tokenizer(uri, rule))


def _audited(target: Target) -> dict[str, dict[str, Any]]:
    """What the audit counted of each group, over all corpora that the run was trained on; {} where none has a report.

    num_documents: that mention the group, of all documents read; mention_ratio; kept_ratio of them; toxic_ratio of
    them, None where toxicity was not measured.
    """
    reports = []
    for path in target.run.paths if target.run is not None else ():
        uri = shards.join(corpus_root(path), "report.json")
        if shards.exists(uri):
            reports.append(json.loads(shards.read_bytes(uri))["audit"])
    rows = [row for audit in reports for row in audit["rows"] if (row["slice"], row["rule"]) == ("identity", "*")]
    toxic = [row for audit in reports for row in audit["toxicity"] if row["slice"] == "identity"]
    total = sum(audit["num_documents"] for audit in reports)
    found = {}
    for group in sorted({row["value"] for row in rows}):
        reached, dropped = (_add(rows, group, key) for key in ("num_reached", "num_dropped"))
        scored, num_toxic = (_add(toxic, group, key) for key in ("num_documents", "num_toxic"))
        found[group] = {
            "num_documents": reached,
            "mention_ratio": reached / total,
            "kept_ratio": 1 - dropped / reached,
            "toxic_ratio": num_toxic / scored if scored else None,
        }
    return found


def _add(rows: list[dict[str, Any]], group: str, key: str) -> int:
    return sum(row[key] for row in rows if row["value"] == group)


def beside_corpus(rows: list[dict[str, Any]], corpus: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a bias probe, those of whole groups with the corpus's figures of the same group."""
    found = []
    for row in rows:
        group = AUDIT_GROUPS.get(row["value"], row["value"]) if row["by"] == "group" else ""
        facts = corpus.get(group, {})
        names = ("num_documents", "mention_ratio", "kept_ratio", "toxic_ratio")
        found.append({**row, **{f"corpus {name}": facts.get(name) for name in names}})
    return found

"""How long datatrove takes: run in its own environment by `python -m tests.bench datatrove`; prints lines of JSON.

    python time_datatrove.py filters DOCUMENTS
    python time_datatrove.py pipeline SHARDS OUT MODEL TOKENIZER WORKERS

filters: for each line that comes in, CPU seconds of the four filters of its example for FineWeb, one after the other on
each of the documents (lines of JSON with id and text): `all`, each filter sees every document; `survivors`, one sees
what those before it keep.

pipeline: from the WET files in SHARDS to token ids below OUT, as examples/fineweb.py and its tokenizing go: each stage
one task in this process (the second of MinHash 14), or with several WORKERS a task for each shard in as many processes.
Wall seconds of each block as datatrove itself counts them, summed over tasks, and the documents and tokens that came
out. The first stage of MinHash holds its reader's time a second time. MODEL: lid.176.ftz; TOKENIZER: a tokenizer.json.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter

MINHASH = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)


def four_filters() -> list[Any]:
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def time_filters(file: str) -> None:
    """A round for each line of stdin; what is loaded once, spaCy above all, is loaded before."""
    with open(file, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    filters = four_filters()
    every_filter(filters, Document(text="The first text loads what is loaded once. " * 20, id="warm-up"))
    for _ in sys.stdin:
        seconds = {"all": time_each(every_filter, filters, rows)}
        seconds["survivors"] = time_each(until_dropped, filters, rows)
        print(json.dumps(seconds), flush=True)


def time_each(work: Callable[[list[Any], Document], object], filters: list[Any], rows: list[dict[str, str]]) -> float:
    documents = [Document(text=row["text"], id=row["id"]) for row in rows]
    start = time.thread_time()
    for document in documents:
        work(filters, document)
    return time.thread_time() - start


def every_filter(filters: list[Any], document: Document) -> None:
    for rule in filters:
        rule.filter(document)


def until_dropped(filters: list[Any], document: Document) -> bool:
    """Whether all keep the document; a filter says no by False or by a pair of False and why."""
    return all(rule.filter(document) is True for rule in filters)


def stages(shards: str, out: Path, model: str, tokenizer: str, num_tasks: int) -> dict[str, tuple[int, list[Any]]]:
    """Number of tasks and blocks of each stage, in run order."""
    language = LanguageFilter(languages=["en"], language_threshold=0.65)
    language.model.MODEL_URL = model
    filtered, pairs, removed = str(out / "filtered"), str(out / "pairs"), str(out / "removed")
    signatures = str(out / "signatures")
    return {
        "filter": (num_tasks, [WarcReader(shards), language, *four_filters(), JsonlWriter(filtered)]),
        "minhash 1": (num_tasks, [JsonlReader(filtered), MinhashDedupSignature(signatures, MINHASH)]),
        "minhash 2": (MINHASH.num_buckets, [MinhashDedupBuckets(signatures, pairs, config=MINHASH)]),
        "minhash 3": (1, [MinhashDedupCluster(pairs, removed, MINHASH)]),
        "minhash 4": (
            num_tasks,
            [JsonlReader(filtered), MinhashDedupFilter(removed), PIIFormatter(), JsonlWriter(str(out / "kept"))],
        ),
        "tokens": (
            num_tasks,
            [
                JsonlReader(str(out / "kept")),
                DocumentTokenizer(str(out / "tokens"), tokenizer, eos_token="<|endoftext|>", seed=0),
            ],
        ),
    }


def time_pipeline(shards: str, out: str, model: str, tokenizer: str, workers: str) -> None:
    seconds: dict[str, float] = {}
    num_workers = int(workers)
    by_shard = 1 if num_workers == 1 else len(list(Path(shards).iterdir()))
    for name, (num_tasks, pipeline) in stages(shards, Path(out), model, tokenizer, by_shard).items():
        logs = Path(out) / "logs" / name
        LocalPipelineExecutor(pipeline, tasks=num_tasks, workers=num_workers, logging_dir=str(logs)).run()
        found = json.loads((logs / "stats.json").read_text("utf-8"))
        seconds.update({f"{name}, {plain(block['name'])}": total(block["time_stats"]) for block in found})
    counts = {name: total(number) for block in found for name, number in block["stats"].items()}
    print(json.dumps({"stages": seconds, "num_kept": counts["documents"], "num_tokens": counts["tokens"]}))


def plain(name: str) -> str:
    """A block's name without its kind and pictures."""
    return "".join(filter(str.isascii, name.rpartition(": ")[2])).strip()


def total(stat: Any) -> Any:
    """The sum of a statistic, which datatrove writes alone where nothing is to be told beside it."""
    return stat["total"] if isinstance(stat, dict) else stat


def main() -> None:
    what, *arguments = sys.argv[1:]
    {"filters": time_filters, "pipeline": time_pipeline}[what](*arguments)


if __name__ == "__main__":
    main()

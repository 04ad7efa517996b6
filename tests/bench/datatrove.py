"""The preset datatrove@0.10 against datatrove 0.10.1 on the shared WET text: MB/s of one core, in the same run.

Run with `python -m tests.bench datatrove` after `make peers`. Both judge the same documents by the same
five filters, in turns; datatrove stops at a document's first reason, we take all measures. Processor times; the median
of the turns after a first one that compiles, imports and fills caches.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from filters import Language
from filters.base import Documents, Edit, Filter
from tests.bench.measures import web_texts
from tests.edge_cases import batch
from tests.peers.test_datatrove import chain_of
from tests.shared import ROOT

NUM_DOCUMENTS = 300
NUM_ROUNDS = 3
PEER = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = ROOT / "tests" / "peers" / "time_datatrove.py"


def ours(rules: list[Filter], table: pa.Table) -> float:
    """Seconds of one pass of all rules, words and lines included."""
    begun = time.process_time()
    documents = Documents(table)
    for rule in rules:
        if isinstance(rule, Edit):
            text, _ = rule.edit(documents)
            documents = documents.with_text(text)
        else:
            rule.score(documents)
    return time.process_time() - begun


def measure(texts: list[str], folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of each round: ours and datatrove's, which run in turns."""
    rules, table = chain_of("datatrove@0.10"), batch(texts)
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    command = [str(PEER), str(SCRIPT), str(path), Language().model_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        rounds = []
        for _ in range(NUM_ROUNDS + 1):
            peer.stdin.write("\n")
            peer.stdin.flush()
            theirs = float(peer.stdout.readline())
            rounds.append((ours(rules, table), theirs))
        peer.stdin.close()
    return [our for our, _ in rounds[1:]], [their for _, their in rounds[1:]]


def main() -> None:
    if not PEER.exists():
        print(f"{PEER.parents[1].name}: no such environment; run `make peers`. Nothing was measured")
        return
    texts = web_texts()
    texts = texts[:: max(1, len(texts) // NUM_DOCUMENTS)]
    num_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(texts, Path(folder))
    rates = [num_megabytes / statistics.median(times) for times in seconds]
    ratio = statistics.median(their / our for our, their in zip(*seconds, strict=True))
    print(f"{len(texts)} texts, {num_megabytes:.1f} MB; MB/s: gristmill {rates[0]:.1f}, datatrove {rates[1]:.2f}")
    print(f"gristmill is {ratio:.0f} times as fast")


if __name__ == "__main__":
    main()

"""MinHash signatures: ours against datasketch, the same texts, the same machine, the same run.

Run with `python -m tests.bench.minhash`. Prints MB of text a second on one core, medians, and the ratio.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import datasketch
import pyarrow as pa
import zstandard

from filters.kernels.buffers import text_buffers
from filters.kernels.minhash import minhash_signatures, permutations
from filters.kernels.words import find_words
from tests.shared import SHARED

NGRAM, NUM_PERMUTATIONS, RUNS = 5, 112, 5
PEER_DOCUMENTS = 100  # datasketch takes seconds for these


def web_texts() -> list[str]:
    """Main texts of real pages (16 MB)."""
    with zstandard.open(SHARED / "web" / "gold.jsonl.zst", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def megabytes_a_second(work: Callable[[], Any], num_bytes: int, runs: int) -> float:
    """Median of several runs after one that compiles."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return num_bytes / statistics.median(seconds) / 1e6


def sign_with_datasketch(texts: list[str]) -> None:
    for text in texts:
        words = text.lower().split()
        shingles = {" ".join(words[first : first + NGRAM]).encode() for first in range(len(words) - NGRAM + 1)}
        datasketch.MinHash(NUM_PERMUTATIONS, scheme="affine32").update_batch(list(shingles))


def main() -> dict[str, float]:
    """Print and return the rates."""
    texts = web_texts()
    text = text_buffers(pa.array(texts, pa.large_string()))
    num_bytes = int(text.offsets[-1])
    words = find_words(text)
    peer = texts[:PEER_DOCUMENTS]
    drawn, wide = (permutations(NUM_PERMUTATIONS, 1, scheme) for scheme in ("affine32", "affine64"))
    rates = {
        "signatures": megabytes_a_second(lambda: minhash_signatures(text, words, NGRAM, drawn), num_bytes, RUNS),
        "signatures, affine64": megabytes_a_second(
            lambda: minhash_signatures(text, words, NGRAM, wide), num_bytes, RUNS
        ),
        "words and signatures": megabytes_a_second(
            lambda: minhash_signatures(text, find_words(text), NGRAM, drawn), num_bytes, RUNS
        ),
        "datasketch": megabytes_a_second(
            lambda: sign_with_datasketch(peer), sum(len(each.encode()) for each in peer), 3
        ),
    }
    for name, rate in rates.items():
        print(f"{name:22} {rate:8.1f} MB/s   {rate / rates['datasketch']:6.1f} times datasketch")
    return rates


if __name__ == "__main__":
    main()

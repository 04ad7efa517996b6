"""Tokens: ours against tiktoken, the same web text, one thread, the same run; then the whole stage, and packing.

Run with `python -m tests.bench.tokens`. Prints MB of text a second of the processor time of all threads, medians, the
ratio, and the packing efficiency.
"""

import base64
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tiktoken
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus import tokenizers
from corpus.encode import EncodeWriter, gather_bucket
from corpus.pack import Settings, pack_bucket
from corpus.slices import Slices
from manifests.digest import document_id
from tests.shared import SHARED

ENCODING = SHARED / "text" / "tokenizers" / "cl100k_base.tiktoken"
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
LENGTHS = (1024, 8192)
BATCH_BYTES = 16 * 1024 * 1024


def web_texts() -> list[str]:
    """Texts of all WET records."""
    texts = []
    for path in sorted((SHARED / "web" / "wet").glob("*.gz")):
        with gzip.open(path) as file:
            records = ArchiveIterator(file, record_types=WarcRecordType.conversion)
            texts += [record.reader.read().decode("utf-8", errors="replace") for record in records]
    return texts


def median_seconds(work: Callable[[], Any], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def tiktoken_peer() -> tiktoken.Encoding:
    lines = (line.split() for line in ENCODING.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding("peer", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def fresh() -> tokenizers.Tokenizer:
    """A tokenizer that has seen no word yet."""
    tokenizers._load.cache_clear()
    return tokenizers.load_tokenizer(str(ENCODING))


def cold_seconds(texts: pa.Array, runs: int) -> float:
    """Encoding alone, each time with a tokenizer that has seen nothing; loading it is not counted."""
    seconds = []
    for _ in range(runs):
        tokenizer = fresh()
        seconds.append(median_seconds(lambda tokenizer=tokenizer: tokenizer.encode(texts), 1))
    return statistics.median(seconds)


def write_unit(out: str, tokenizer: tokenizers.Tokenizer, table: pa.Table) -> None:
    """The map side of the stage: encode, split, bucket, write Parquet."""
    writer = EncodeWriter(f"{out}/units/bench", tokenizer, 1, 17, 0.01)
    step = max(1, table.num_rows * BATCH_BYTES // table.nbytes)
    for start in range(0, table.num_rows, step):
        writer.add(table.slice(start, step))
    writer.finish()


def pack(out: str, tokenizer: tokenizers.Tokenizer, length: int) -> float:
    """Pack the bucket; returns its efficiency."""
    files = pack_bucket(out, 0, Settings(length, tokenizer.end_of_text_id, ["web"], Slices(), tokenizer.token_bytes()))
    return sum(file.num_tokens for file in files) / sum(file.entry.rows * (length + 1) for file in files)


def stage_rates(table: pa.Table, num_bytes: int) -> dict[str, float]:
    """Rates of writing a unit, gathering and packing; prints the packing efficiency."""
    tokenizer, rates = fresh(), {}
    with tempfile.TemporaryDirectory() as out:
        rates["unit, cold"] = num_bytes / median_seconds(lambda: write_unit(out, tokenizer, table), 1) / 1e6
        rates["unit, warm"] = num_bytes / median_seconds(lambda: write_unit(out, tokenizer, table), 3) / 1e6
        seconds = median_seconds(lambda: gather_bucket(out, ["bench"], 0, 17, tokenizer.token_type), 3)
        rates["gather"] = num_bytes / seconds / 1e6
        for length in LENGTHS:
            efficiency = pack(out, tokenizer, length)
            rates[f"pack {length}"] = num_bytes / median_seconds(lambda n=length: pack(out, tokenizer, n), 3) / 1e6
            rows = sum(1 for _ in Path(out).rglob(f"packed/{length}/*.parquet"))
            print(f"packing into {length} tokens: efficiency {efficiency:.4f} ({rows} files)")
    return rates


def main() -> dict[str, float]:
    """Print and return the rates."""
    documents = web_texts()
    texts = pa.array(documents, pa.large_string())
    num_bytes = sum(len(text.encode()) for text in documents)
    table = pa.table(
        {
            "doc_id": [document_id("web", "bench", number) for number in range(len(documents))],
            "text": texts,
            "source": ["web"] * len(documents),
            "language": pa.nulls(len(documents), pa.string()),
            "quality": pa.nulls(len(documents), pa.float64()),
        }
    )
    peer, tokenizer = tiktoken_peer(), fresh()
    tokens, _ = tokenizer.encode(texts)
    expected = np.concatenate([peer.encode_ordinary(text) for text in documents])
    assert np.array_equal(tokens, expected)
    rates = {
        "encode, cold": num_bytes / cold_seconds(texts, 3) / 1e6,
        "encode, warm": num_bytes / median_seconds(lambda: tokenizer.encode(texts), 5) / 1e6,
        **stage_rates(table, num_bytes),
        "tiktoken": num_bytes / median_seconds(lambda: [peer.encode_ordinary(text) for text in documents], 3) / 1e6,
    }
    print(f"{len(documents)} documents, {num_bytes / 1e6:.1f} MB, {len(tokens)} tokens, the same ids as tiktoken's")
    for name, rate in rates.items():
        print(f"{name:14} {rate:8.1f} MB/s   {rate / rates['tiktoken']:6.1f} times tiktoken")
    return rates


if __name__ == "__main__":
    main()

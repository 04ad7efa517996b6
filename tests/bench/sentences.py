"""How often the splitters of sentences agree, and how fast they are, on the lines that C4's rules keep of web text.

Run with `python -m tests.bench.sentences`; needs the WET files of ../shared/data/web. A line counts as agreed where two
splitters find the same number of sentences in it, a page where they agree whether it has at least three.
"""

import itertools
import os
import time

import numpy as np

from filters.base import Documents
from filters.c4 import C4
from filters.kernels.tallies import sum_by_document
from filters.sentences import SentenceDefinition, count_sentences
from tests.bench.measures import web_texts
from tests.edge_cases import batch
from tests.shared import nltk_data

DEFINITIONS: tuple[SentenceDefinition, ...] = ("native", "spacy", "punkt")


def main() -> None:
    texts = web_texts(100)
    if not texts:
        print("no WET files in ../shared/data/web; nothing was measured")
        return
    kept = C4().edit(Documents(batch(texts)))[0].to_pylist()
    lines = Documents(batch(kept)).lines
    has_text = lines.ends > lines.starts
    os.environ["NLTK_DATA"] = nltk_data()
    counts = {}
    num_megabytes = int((lines.ends - lines.starts).sum()) / 1e6
    print(f"{len(texts)} pages, {int(has_text.sum())} lines kept, {num_megabytes:.1f} MB")
    print("| splitter | sentences | MB/s |\n|---|---:|---:|")
    for definition in DEFINITIONS:
        count_sentences(Documents(batch(kept)), definition)
        fresh = Documents(batch(kept))
        assert len(fresh.lines.starts)  # found before the clock starts
        start = time.thread_time()
        counts[definition] = count_sentences(fresh, definition) * has_text
        speed = num_megabytes / (time.thread_time() - start)
        print(f"| {definition} | {int(counts[definition].sum())} | {speed:.1f} |")
    print("\n| splitters | lines agreed | pages agreed on three |\n|---|---:|---:|")
    for one, other in itertools.combinations(DEFINITIONS, 2):
        agreed = float(np.mean((counts[one] == counts[other])[has_text]))
        enough = [sum_by_document(counts[name], lines.offsets) >= 3 for name in (one, other)]
        print(f"| {one}, {other} | {agreed:.2%} | {float(np.mean(enough[0] == enough[1])):.2%} |")


if __name__ == "__main__":
    main()

"""Line deduplication on web text: hashing of lines, and the whole stage, against CCNet's way in plain Python.

Run with `python -m tests.bench.lines`; needs the WET files of ../shared/data/web. MB of UTF-8 for each second of this
thread's processor time; rounds of ours and of the peer take turns, after one that compiles. The stage reads texts from
Parquet, writes keys, repeats and spans, and cuts the texts; the peer has its texts in memory and its hashes in a set.
"""

import hashlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable

from corpus.dedup.lines import deduplicate_lines
from corpus.recipe import Dedup, Lines
from corpus.texts import final_texts
from filters.kernels.lines import find_lines
from filters.kernels.normalized_lines import line_keys
from tests.bench.measures import web_texts
from tests.corpus.dedup.corpora import in_order
from tests.corpus.dedup.line_corpora import write_texts
from tests.shared import SHARED
from tests.words import buffers

NUM_ROUNDS = 5
_DIGIT = re.compile(r"\d")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MARKS = re.compile("[，。、„”“«»「」《》´∶：？！（）；–—．～’…━〈〉【】％►]")


def peer_key(line: str) -> bytes:
    """Eight bytes of a line's SHA-1, once it is normalized as CCNet does."""
    line = _CONTROL.sub("", _MARKS.sub("", _DIGIT.sub("0", line.strip().lower())))
    return hashlib.sha1(line.encode()).digest()[:8]


def peer_texts(texts: list[str]) -> list[str]:
    """The texts without lines that came before."""
    seen: set[bytes] = set()
    cut = []
    for text in texts:
        left = []
        for line in text.split("\n"):
            key = peer_key(line)
            if key not in seen:
                seen.add(key)
                left.append(line)
        cut.append("\n".join(left))
    return cut


def stage(out: str, num_units: int) -> None:
    units = {f"{number}": 0 for number in range(num_units)}
    deduplicate_lines(out, units, Dedup(lines=Lines()), str(time.perf_counter_ns()), in_order)
    for unit_id in units:
        for _ in final_texts(out, unit_id):
            pass


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def main() -> None:
    if not SHARED.exists():
        print("no WET files in ../shared/data/web; nothing was measured")
        return
    texts = web_texts(8)
    num_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    text = buffers(texts)
    with tempfile.TemporaryDirectory() as out:
        write_texts(out, {f"{number}": texts[number::4] for number in range(4)})
        steps: dict[str, Callable[[], object]] = {
            "find and hash lines": lambda: (
                (lines := find_lines(text)) and line_keys(text.data, lines.starts, lines.ends)
            ),
            "CCNet's hashing": lambda: [peer_key(line) for one in texts for line in one.split("\n")],
            "whole stage": lambda: stage(out, 4),
            "CCNet's way": lambda: peer_texts(texts),
        }
        rounds = [{name: num_megabytes / _seconds(step) for name, step in steps.items()} for _ in range(NUM_ROUNDS + 1)]
    rates = {name: statistics.median(each[name] for each in rounds[1:]) for name in steps}
    print(f"{len(texts)} texts, {num_megabytes:.1f} MB; medians of {NUM_ROUNDS} rounds")
    print("| step | MB/s |\n|---|---:|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.1f} |")
    for ours, peer in (("find and hash lines", "CCNet's hashing"), ("whole stage", "CCNet's way")):
        print(f"{ours}: {rates[ours] / rates[peer]:.1f} times {peer}")


if __name__ == "__main__":
    main()

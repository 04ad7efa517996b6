"""How fast the text measures are on web text: MB of UTF-8 for each second of one core.

Run with `python -m tests.bench.measures`; needs the WET files of ../shared/data/web. Times are of this thread's
processor time, so that other work on the machine does not count; the rounds are those after a first one that
compiles.
"""

import statistics
import time
from collections.abc import Callable

import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType

from filters.base import Documents
from filters.c4 import C4
from filters.fineweb import FineWeb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from tests.edge_cases import batch
from tests.shared import SHARED

NUM_ROUNDS = 5


def web_texts(num_files: int = 4) -> list[str]:
    """The texts of the first WET files."""
    texts: list[str] = []
    for path in sorted((SHARED / "web" / "wet").glob("*.wet.gz"))[:num_files]:
        with path.open("rb") as stream:
            records = ArchiveIterator(stream, record_types=WarcRecordType.conversion)
            texts += [record.reader.read().decode("utf-8", "replace") for record in records]
    return texts


def _steps() -> dict[str, Callable[[Documents], object]]:
    quality, repetition, fineweb, c4 = GopherQuality(), GopherRepetition(), FineWeb(), C4()
    return {
        "words": lambda documents: documents.words(),
        "lines": lambda documents: documents.lines,
        "gopher_quality": quality.score,
        "gopher_repetition": repetition.score,
        "fineweb": fineweb.score,
        "c4": c4.edit,
    }


def _seconds(table: pa.Table) -> dict[str, float]:
    """Processor time of each step of one pass; words and lines are found once and shared by the filters."""
    documents = Documents(table)
    spent: dict[str, float] = {}
    for name, step in _steps().items():
        start = time.thread_time()
        step(documents)
        spent[name] = time.thread_time() - start
    return spent


def measure(texts: list[str]) -> dict[str, tuple[float, float]]:
    """MB/s of each step and of `all`, the whole pass: the median and the best of the rounds."""
    table = batch(texts)
    num_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    rounds = [_seconds(table) for _ in range(NUM_ROUNDS + 1)][1:]
    rounds = [{**spent, "all": sum(spent.values())} for spent in rounds]
    columns = {name: [spent[name] for spent in rounds] for name in rounds[0]}
    return {
        name: (num_megabytes / statistics.median(seconds), num_megabytes / min(seconds))
        for name, seconds in columns.items()
    }


def main() -> None:
    texts = web_texts()
    if not texts:
        print(f"{SHARED / 'web' / 'wet'}: no WET files here; nothing was measured")
        return
    print(f"{len(texts)} texts, {sum(len(text.encode()) for text in texts) / 1e6:.1f} MB; MB/s: median, best")
    for name, (median, best) in measure(texts).items():
        print(f"{name:20} {median:8.1f} {best:8.1f}")


if __name__ == "__main__":
    main()

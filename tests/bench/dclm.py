"""How fast DCLM's rules are here and as plain Python: MB of web text for each second of one core, and the ratio.

Run with `python -m tests.bench.dclm`; needs the WET files of ../shared/data/web. The peer is the twin in
tests/reference, which does what DCLM's functions do, by str methods and regular expressions; both get words that white
space separates, so the tokenizers' own time is left out. Times are of this thread's processor time, taken in turns.
"""

import statistics
import time
from collections.abc import Callable

from filters.base import Documents
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.refinedweb import RefinedWeb
from filters.refinedweb_urls import RefinedWebUrls
from tests.bench.measures import web_texts
from tests.edge_cases import batch
from tests.reference import dclm, refinedweb

NUM_TEXTS = 100
NUM_ROUNDS = 3

Step = tuple[Callable[[Documents], object], Callable[[str], object]]


def _steps() -> dict[str, Step]:
    return {
        "gopher_quality": (GopherQuality(semantics="dclm").score, lambda text: dclm.quality(text, str.split)),
        "gopher_repetition": (GopherRepetition(semantics="dclm").score, lambda text: dclm.repetition(text, str.split)),
        "refinedweb_urls": (
            RefinedWebUrls(semantics="dclm").edit,
            lambda text: refinedweb.without_urls(text, as_dclm=True),
        ),
        "refinedweb": (RefinedWeb(semantics="dclm").edit, refinedweb.corrected),
    }


def _round(step: Step, texts: list[str]) -> tuple[float, float]:
    """Seconds of ours, words and lines included, and of the peer."""
    ours, peer = step
    documents = Documents(batch(texts))
    started = time.thread_time()
    ours(documents)
    between = time.thread_time()
    for text in texts:
        peer(text)
    return between - started, time.thread_time() - between


def main() -> None:
    texts = web_texts(1)[:NUM_TEXTS]
    if not texts:
        print("no WET files here; nothing was measured")
        return
    num_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {num_megabytes:.1f} MB; MB/s: ours, Python; ratio")
    for name, step in _steps().items():
        rounds = [_round(step, texts) for _ in range(NUM_ROUNDS + 1)][1:]  # the first one compiles
        ours, peer = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
        print(f"{name:20} {num_megabytes / ours:8.1f} {num_megabytes / peer:8.2f} {peer / ours:8.0f}")


if __name__ == "__main__":
    main()

"""Language identification: ours against fastText's own predict, the same texts, the same run, one core.

Run with `python -m tests.bench.language`; needs the WET files of ../shared/data/web. Prints MB of text a second of
this thread's processor time, medians of interleaved rounds after a first one that compiles; the ratio; and how far
labels and scores agree.
"""

import statistics
import time
from collections.abc import Callable

import fasttext
import numpy as np
import pyarrow as pa

from filters.fasttext_model import load_model
from filters.kernels.buffers import text_buffers
from filters.language import Language
from tests.bench.measures import web_texts
from tests.shared import SHARED

NUM_ROUNDS = 7


def seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def library_answers(path: str, texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Best labels and scores by the library, one call a text, as its Python wrapper makes it."""
    model = fasttext.load_model(path).f
    found = [model.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict")[0] for text in texts]
    return [name.removeprefix("__label__") for _, name in found], np.array([score for score, _ in found])


def main() -> dict[str, float]:
    """Print and return the rates in MB/s, and the agreement."""
    texts = web_texts()
    if not texts:
        print(f"{SHARED / 'web' / 'wet'}: no WET files here; nothing was measured")
        return {}
    path = Language().model_path
    model, text = load_model(path), text_buffers(pa.array(texts, pa.large_string()))
    num_megabytes = text.offsets[-1] / 1e6
    labels, scores = model.predict(text, stops_at_end_mark=True)
    names, their_scores = library_answers(path, texts)
    works = {"gristmill": lambda: model.predict(text), "fasttext": lambda: library_answers(path, texts)}
    rounds = [{name: seconds(work) for name, work in works.items()} for _ in range(NUM_ROUNDS)]
    rates = {name: num_megabytes / statistics.median(spent[name] for spent in rounds) for name in works}
    rates["ratio"] = statistics.median(spent["fasttext"] / spent["gristmill"] for spent in rounds)
    rates["labels equal"] = float(
        np.mean([model.labels[label] == name for label, name in zip(labels, names, strict=True)])
    )
    rates["largest score difference"] = float(np.abs(scores - np.minimum(their_scores, 1.0)).max())
    print(f"{len(texts)} texts, {num_megabytes:.1f} MB")
    for name, value in rates.items():
        print(f"{name:26} {value:10.4g}")
    return rates


if __name__ == "__main__":
    main()

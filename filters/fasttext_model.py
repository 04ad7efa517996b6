"""fastText classifiers: loaded once per process, asked about a batch of texts at a time.

Files are read and labels and scores found without the library, whose answers they are: the same label, the same score
but for a unit in the last place of float32 where its exponential rounds otherwise (tests compare them). A text is one
line: line feeds count as blanks.
"""

import functools

import numpy as np
import numpy.typing as npt

from filters.fasttext_file import read_model
from filters.kernels.buffers import TextBuffers
from filters.kernels.fasttext import new_room, predict
from manifests import shards
from manifests.errors import ModelError
from manifests.strict import did_you_mean

_PREFIX = "__label__"
_BEST = -1

Spans = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # starts and ends in the data


class FastTextModel:
    """A loaded classifier. Not picklable: workers load their own, by path.

    Memory: a dense model (`.bin`) stays in its file, memory-mapped, and is shared by all processes of the machine; a
    file in use may be replaced, but not written over. Of a quantized one (`.ftz`) each process holds 4 bytes for each
    number it stands for (3 MB for lid.176.ftz). Besides, up to 25 bytes for each word of the dictionary.
    """

    def __init__(self, path: str) -> None:
        model = read_model(path)
        self._path = path
        self._dictionary, self._network = model.dictionary, model.network
        self.labels: tuple[str, ...] = tuple(label.removeprefix(_PREFIX) for label in model.labels)

    def predict(
        self, text: TextBuffers, stops_at_end_mark: bool = False
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """The best label of each text (an index of `labels`) and its score in [0, 1]; -1 and 0.0 without an answer.

        A model has no answer to a text of which it knows nothing. stops_at_end_mark: a word `</s>` ends the text, as
        in fastText, else it is passed over.
        """
        return self._ask(text.data, (text.offsets[:-1], text.offsets[1:]), _BEST, stops_at_end_mark)

    def predict_spans(
        self, data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """The best label of each of data[starts:ends], as predict gives it; int32 (num_spans,)."""
        return self._ask(data, (starts, ends), _BEST, False)[0]

    def label_scores(self, text: TextBuffers, label: str) -> npt.NDArray[np.float64]:
        """The score in [0, 1] of one label for each text; 0.0 without an answer. Raises ModelError if unknown."""
        return self._ask(text.data, (text.offsets[:-1], text.offsets[1:]), self.index(label), False)[1]

    def index(self, label: str) -> int:
        """Where a label (without `__label__`) is in `labels`; raises ModelError that names the known ones."""
        if label not in self.labels:
            known = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise ModelError(
                f"{self._path}: label {label!r} is none of its {len(self.labels)} labels"
                f"{did_you_mean(label, self.labels)} There are: {known}."
            )
        return self.labels.index(label)

    def _ask(
        self, data: npt.NDArray[np.uint8], spans: Spans, wanted: int, stops: bool
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        starts, ends = spans
        labels = np.empty(len(starts), np.int32)
        scores = np.empty(len(starts), np.float64)
        room = new_room(self._dictionary, ends - starts, len(self._network.weights))
        predict(self._dictionary, self._network, (data, starts, ends), (wanted, stops), room, (labels, scores))
        if not np.isfinite(scores).all():
            raise ModelError(f"{self._path}: its weights are so large that scores are no numbers. Fetch it again.")
        # fastText adds 1e-5 to what it takes the logarithm of.
        return labels, np.minimum(scores, 1.0)


def load_model(path: str) -> FastTextModel:
    """The classifier in a local file; loaded and checked once per process for each content.

    Raises ModelError if it is no complete supervised fastText model, InputError if it cannot be read.
    """
    if "://" in path:
        raise ModelError(
            f"{path}: fastText models are read from local files only. Copy it to every machine and name that path."
        )
    return _loaded(path, shards.file_digest(path))


@functools.lru_cache(maxsize=32)  # models are mapped, not copied
def _loaded(path: str, digest: str) -> FastTextModel:  # digest: a file that changes is loaded again
    return FastTextModel(path)

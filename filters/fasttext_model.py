"""fastText classifiers: loaded once per process, asked about one text at a time.

The library's own loader trusts the file: one that was cut short crashes the process or never returns. `check_model`
walks through the file's parts first and compares their sizes with the file's.
"""

import functools
import mmap
import struct
from pathlib import Path

import fasttext

from manifests import shards
from manifests.errors import ModelError

_MAGIC = 793712314
_VERSIONS = (11, 12)
_SUPERVISED = 3
_PREFIX = "__label__"
# Scores are sums of float32 whose order depends on the build: more digits would differ between machines.
_DIGITS = 6


class FastTextModel:
    """A loaded classifier. Not picklable: workers load their own, by path."""

    def __init__(self, path: str) -> None:
        # The wrapper's predict fails with NumPy 2 (it forbids the copy it needs); the class below it does not.
        self._native = fasttext.load_model(path).f
        self.labels: tuple[str, ...] = tuple(
            label.removeprefix(_PREFIX) for label in self._native.getLabels("strict")[0]
        )

    def top(self, text: str) -> tuple[str, float]:
        """The best label (without `__label__`) and its score in [0, 1]; ("", 0.0) where the model has no answer."""
        found = self._native.predict(_one_line(text), 1, 0.0, "strict")
        return (found[0][1].removeprefix(_PREFIX), _ratio(found[0][0])) if found else ("", 0.0)

    def label_score(self, text: str, label: str) -> float:
        """The score in [0, 1] of one label; 0.0 where the model has no answer."""
        found = self._native.predict(_one_line(text), -1, 0.0, "strict")
        return next((_ratio(score) for score, name in found if name == _PREFIX + label), 0.0)


def load_model(path: str) -> FastTextModel:
    """The classifier in a local file; loaded once per process for each content.

    Raises ModelError if it is no fastText model, InputError if it cannot be read.
    """
    return _loaded(path, shards.file_digest(path))


@functools.lru_cache(maxsize=4)
def _loaded(path: str, digest: str) -> FastTextModel:  # digest: a file that changes is loaded again
    try:
        return FastTextModel(path)
    except ValueError as error:
        raise ModelError(f"{path}: fastText cannot load it: {error} Name a supervised model (.bin or .ftz).") from None


def check_model(path: str) -> None:
    """Raise ModelError unless the file is a complete, local, supervised fastText model; InputError if it is absent."""
    if "://" in path:
        raise ModelError(
            f"{path}: fastText reads local files only. Copy the model to every machine and name that path."
        )
    shards.file_digest(path)
    if Path(path).stat().st_size == 0:
        raise ModelError(f"{path}: is empty. Fetch the model again.")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            end = _end_of_model(path, data)
        except (struct.error, IndexError):
            end = len(data) + 1
        if end != len(data):
            raise ModelError(f"{path}: its parts do not fill its {len(data)} bytes; it was cut short. Fetch it again.")


def _end_of_model(path: str, data: mmap.mmap) -> int:
    """Where the last part ends, from the sizes that the file states."""
    magic, version = struct.unpack_from("<2i", data, 0)
    if magic != _MAGIC or version not in _VERSIONS:
        raise ModelError(
            f"{path}: is not a fastText model (it starts with {magic}, {version}). Name a .bin or .ftz file."
        )
    if struct.unpack_from("<12i", data, 8)[7] != _SUPERVISED:
        raise ModelError(f"{path}: holds word vectors, not a classifier. Name a model trained with `supervised`.")
    position = _end_of_dictionary(data, 8 + 12 * 4 + 8)
    (quantized_input,) = struct.unpack_from("<?", data, position)
    position = _end_of_matrix(data, position + 1, quantized_input)
    (quantized_output,) = struct.unpack_from("<?", data, position)
    # A quantized output belongs to a quantized input: fastText reads it so.
    return _end_of_matrix(data, position + 1, quantized_input and quantized_output)


def _end_of_dictionary(data: mmap.mmap, position: int) -> int:
    num_entries, _, _, _, num_pruned = struct.unpack_from("<3i2q", data, position)
    position += 28
    for _ in range(num_entries):
        end_of_word = data.find(b"\0", position)
        if end_of_word < 0:
            raise IndexError
        position = end_of_word + 1 + 8 + 1
    return position + 8 * max(int(num_pruned), 0)


def _end_of_matrix(data: mmap.mmap, position: int, quantized: bool) -> int:
    if not quantized:
        num_rows, num_columns = struct.unpack_from("<2q", data, position)
        return int(position + 16 + 4 * num_rows * num_columns)
    has_norms, num_rows, _, num_codes = struct.unpack_from("<?2qi", data, position)
    position = _end_of_quantizer(data, position + 21 + int(num_codes))
    return _end_of_quantizer(data, position + int(num_rows)) if has_norms else position


def _end_of_quantizer(data: mmap.mmap, position: int) -> int:
    (dimension,) = struct.unpack_from("<i", data, position)
    return position + 16 + 4 * 256 * int(dimension)


def _one_line(text: str) -> str:
    # fastText reads one line, and ends it early at its own end-of-sentence word.
    return text.replace("\n", " ").replace("</s>", " ") + "\n"


def _ratio(score: float) -> float:
    # Softmax tables round: scores reach 1.00005.
    return round(min(max(score, 0.0), 1.0), _DIGITS)

"""How many sentences the lines of a text have: the splitters that C4's rules ask for.

native: marks and a few titles, in `filters.kernels.sentences`; fast, and no other library.
spacy: the sentencizer of spaCy's blank English pipeline, as datatrove 0.10 counts; exact, on our words of `spacy_en`.
punkt: NLTK's trained English splitter, as C4's reference code counts; exact, since NLTK itself does it, and slow.

How often they agree is in tests/bench/results/words_*.md.
"""

import importlib.util
import io
import zipfile
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.lines import Lines
from filters.kernels.sentences import count_native_sentences
from filters.kernels.spacy_sentences import count_spacy_sentences
from filters.words import find_words, words_version
from manifests import shards
from manifests.errors import ModelError, RecipeError

SentenceDefinition = Literal["native", "spacy", "punkt"]

_MARKS = (b".", b"?", b"!")
_FOLDER = "punkt_tab/english/"


def count_sentences(
    text: TextBuffers, lines: Lines, definition: SentenceDefinition, punkt: str | None = None
) -> npt.NDArray[np.int64]:
    """Sentences of each line, on its own: int64 (num_lines,).

    punkt: path or URI of NLTK's punkt_tab.zip, for that definition. Raises RecipeError where what the definition needs
    is not installed or named, ModelError where the file is none.
    """
    if definition == "spacy":
        return count_spacy_sentences(text, find_words(text, "spacy_en"), lines.starts, lines.ends)
    if definition == "native":
        return count_native_sentences(text, lines.starts, lines.ends)
    splitter = _punkt(punkt)
    spans = zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)
    counts = (_count(splitter, text.data[start:end].tobytes()) for start, end in spans)
    return np.fromiter(counts, np.int64, len(lines.starts))


def sentences_version(definition: SentenceDefinition, punkt: str | None = None) -> str | None:
    """What else than the definition and the file's content decides; None for the native one.

    Raises as count_sentences does.
    """
    if definition == "spacy":
        return words_version("spacy_en")
    if definition == "native":
        return None
    _punkt(punkt)
    import nltk

    return f"nltk {nltk.__version__}"


def _count(splitter: Any, line: bytes) -> int:
    # Punkt looks for sentence ends at these marks only, and only where something follows.
    if line.strip() and not any(mark in line[:-1] for mark in _MARKS):
        return 1
    return len(splitter.tokenize(line.decode()))


def _punkt(path: str | None) -> Any:
    """NLTK's English splitter with the parameters in its punkt_tab.zip; loaded once for each content."""
    if importlib.util.find_spec("nltk") is None:
        raise RecipeError('sentences = "punkt" needs NLTK, which is not installed here: pip install "gristmill[nltk]"')
    if path is None:
        raise RecipeError('sentences = "punkt" needs `punkt`, the path of punkt_tab.zip from NLTK\'s data')
    return _loaded(path, shards.file_digest(path))


@lru_cache(maxsize=4)
def _loaded(path: str, digest: str) -> Any:  # digest: a file that changes is loaded again
    from nltk.tabdata import PunktDecoder
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    decoder, parameters = PunktDecoder(), PunktParameters()
    parameters.collocations = set(decoder.tab2tups(_member(path, "collocations.tab")))
    parameters.sent_starters = decoder.txt2set(_member(path, "sent_starters.txt"))
    parameters.abbrev_types = decoder.txt2set(_member(path, "abbrev_types.txt"))
    parameters.ortho_context = decoder.tab2intdict(_member(path, "ortho_context.tab"))
    return PunktSentenceTokenizer(parameters)


def _member(path: str, name: str) -> io.StringIO:
    try:
        with zipfile.ZipFile(io.BytesIO(shards.read_bytes(path))) as archive:
            return io.StringIO(archive.read(_FOLDER + name).decode())
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: holds no {_FOLDER + name} ({error}). NLTK's data has it as punkt_tab.zip.") from None

"""Text clean-up before anything is measured: one Unicode form, one kind of line end, no invisible characters.

What each option of recipe.Normalize does:

unicode             NFC or NFKC. NFC changes no character's meaning; NFKC also folds widths, ligatures and superscripts.
line_ends           CR LF, CR, VT, FF, U+0085, U+2028 and U+2029 become LF.
control_characters  C0 and C1 controls except tab and line ends, DEL, and interlinear annotation marks are removed.
zero_width          Soft hyphens, U+180E, U+200B, U+2060 to U+2064 and U+FEFF are removed. The joiners U+200C and U+200D
                    are removed only where they do nothing: they stay after letters of Arabic, Syriac, Mongolian and the
                    scripts of South and South-East Asia, and in emoji. Marks of writing direction stay.
blank_runs          Blanks in a row (space, tab, no-break, em, ideographic ... space) become one space, those at line
                    ends go; more than two line feeds become two; the text is stripped at both ends.
lowercase           Full lower case of Unicode.
strip_punctuation   Each character of category P or of ASCII punctuation becomes a space; apostrophes are removed, so
                    that "don't" stays one word.
stop_words          Words between blanks that are in the file (one a line, UTF-8), compared in lower case and without
                    punctuation around them, are removed.

The result is stable: normalizing it again changes nothing. Known harm: U+200B separates words in Khmer, Lao and Thai
text, where nothing else does; indentation of program code is reduced to one space by blank_runs.

One core of a busy machine, 18 MB of web text: 140 to 170 MB/s with the defaults (most documents hold some non-ASCII
character), 55 with NFKC, 38 with lowercase, 8 with strip_punctuation.
"""

import re
import string
import unicodedata
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.recipe import Normalize
from filters.kernels import normalize as kernels
from filters.kernels.buffers import text_array, text_buffers
from manifests.errors import InputError, RecipeError
from manifests.shards import file_digest, read_bytes

# Canonical and compatibility mappings, combining marks and joinable letters all lie below; above are CJK extensions,
# which are KEEP, and U+2F800 to U+2FA1F, which are inside.
_NUM_CLASSES = 0x30000

_LINE_ENDS = (0x0B, 0x0C, 0x85, 0x2028, 0x2029)
_CONTROLS = ((0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F), (0xFFF9, 0xFFFB))
_ZERO_WIDTH = ((0xAD, 0xAD), (0x180E, 0x180E), (0x200B, 0x200B), (0x2060, 0x2064), (0xFEFF, 0xFEFF))
_JOINERS = (0x200C, 0x200D)
_BLANKS = ((0x09, 0x09), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x202F, 0x202F))
_MORE_BLANKS = ((0x205F, 0x205F), (0x3000, 0x3000))
# Arabic to Myanmar, Khmer and Mongolian, later scripts of Asia, Arabic presentation forms, and emoji.
_JOINABLE = (
    (0x0600, 0x109F),
    (0x1780, 0x180D),
    (0x1810, 0x18AF),
    (0x1900, 0x1CFF),
    (0xA800, 0xABFF),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
    (0x10A00, 0x11FFF),
    (0x2600, 0x27BF),
    (0x2B00, 0x2BFF),
    (0x1F300, 0x1FAFF),
)
_MARKS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F))
_APOSTROPHES = "'\u2019\u02bc"
# A count, so that no text can hold up a build; the tests find none that is not stable after it.
_MAX_ROUNDS = 32

Form = Literal["NFC", "NFKC"]


def normalize(table: pa.Table, config: Normalize) -> pa.Table:
    """The table with its `text` column (large_string, no nulls) cleaned up; all rows and other columns stay.

    Raises RecipeError if the file of stop words cannot be read.
    """
    text = _normalized(table["text"], config)
    index = table.schema.get_field_index("text")
    return table.set_column(index, table.schema.field(index), text)


def check(config: Normalize) -> None:
    """Raise RecipeError if the file of stop words is missing, not UTF-8, or empty."""
    _stop_words(config)


def _normalized(column: pa.ChunkedArray | pa.Array, config: Normalize) -> pa.Array:
    """Rewrites all texts, then again those that Python code has changed, until none changes."""
    stop_words = _stop_words(config)
    text, suspects = _rewritten(column, config)
    rows = np.flatnonzero(suspects)
    for _ in range(_MAX_ROUNDS):
        before = text.take(pa.array(rows)).to_pylist()
        after = [_transformed(value, config, stop_words) for value in before]
        changed = np.array([new != old for new, old in zip(after, before, strict=True)], bool)
        if not changed.any():
            return text
        rows = rows[changed]
        replaced, _ = _rewritten(pa.array([after[i] for i in np.flatnonzero(changed)], pa.large_string()), config)
        mask = np.zeros(len(text), bool)
        mask[rows] = True
        text = pc.replace_with_mask(text, pa.array(mask), replaced)
    return text


def _rewritten(column: pa.ChunkedArray | pa.Array, config: Normalize) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The texts after the kernel, and which of them Python code has to look at."""
    buffers = text_buffers(column)
    data, offsets, unstable = kernels.rewrite(buffers.data, buffers.offsets, _classes(config), config.blank_runs)
    suspects = unstable.astype(bool)
    if config.lowercase or config.strip_punctuation or config.stop_words is not None:
        suspects[:] = True
    return text_array(data, offsets), suspects


def _transformed(text: str, config: Normalize, stop_words: frozenset[str]) -> str:
    """What the kernel does not do, for one text."""
    if config.unicode != "none" and not unicodedata.is_normalized(config.unicode, text):
        text = unicodedata.normalize(config.unicode, text)
    if config.lowercase:
        text = text.lower()
    if config.strip_punctuation:
        text = text.translate(_punctuation())
    if stop_words:
        text = _without(text, stop_words)
    return text


def _without(text: str, stop_words: frozenset[str]) -> str:
    def shortened(match: re.Match[str]) -> str:
        word = _strip(match[0])
        return match[0].replace(word, "", 1) if word.lower() in stop_words else match[0]

    return re.sub(r"\S+", shortened, text)


def _strip(word: str) -> str:
    return word.strip(_punctuation_characters())


@lru_cache(maxsize=1)
def _punctuation_characters() -> str:
    category = unicodedata.category
    return string.punctuation + "".join(
        chr(code) for code in range(0x80, _NUM_CLASSES) if category(chr(code)).startswith("P")
    )


@lru_cache(maxsize=1)
def _punctuation() -> dict[int, str]:
    return {ord(mark): "" if mark in _APOSTROPHES else " " for mark in _punctuation_characters() + _APOSTROPHES}


def _stop_words(config: Normalize) -> frozenset[str]:
    """The words in lower case; none without a file."""
    path = config.stop_words
    if path is None:
        return frozenset()
    try:
        words = _words_of(path, file_digest(path))
    except (OSError, InputError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"[normalize] stop_words = {path!r}: {error}. Name a UTF-8 file with one word a line."
        ) from error
    if not words:
        raise RecipeError(f"[normalize] stop_words = {path!r}: the file is empty. Leave the key out to keep all words.")
    return words


@lru_cache(maxsize=8)
def _words_of(path: str, digest: str) -> frozenset[str]:
    """The digest is a key: a file that changes while this process runs is read again."""
    return frozenset(read_bytes(path).decode("utf-8-sig").lower().split())


@lru_cache(maxsize=16)
def _classes(config: Normalize) -> npt.NDArray[np.uint8]:
    """The kernel's table for a config; later lines win over earlier ones."""
    classes = np.full(_NUM_CLASSES, kernels.KEEP, np.uint8)
    _fill(classes, ((0x0A, 0x0A),), kernels.NEWLINE)
    if config.line_ends:
        _fill(classes, tuple((code, code) for code in _LINE_ENDS), kernels.NEWLINE)
        _fill(classes, ((0x0D, 0x0D),), kernels.CARRIAGE_RETURN)
    if config.control_characters:
        _fill(classes, _CONTROLS, kernels.REMOVE)
    if config.zero_width:
        _fill(classes, _JOINABLE, kernels.JOINABLE)
        _fill(classes, _MARKS, kernels.MARK)
        _fill(classes, tuple((code, code) for code in _JOINERS), kernels.JOINER)
        _fill(classes, _ZERO_WIDTH, kernels.REMOVE)
    if config.blank_runs:
        _fill(classes, _BLANKS + _MORE_BLANKS, kernels.BLANK)
    if config.unicode != "none":
        classes[_unstable(config.unicode)] |= kernels.UNSTABLE
    classes.flags.writeable = False
    return classes


def _fill(classes: npt.NDArray[np.uint8], ranges: tuple[tuple[int, int], ...], kind: int) -> None:
    for first, last in ranges:
        classes[first : last + 1] = kind


@lru_cache(maxsize=2)
def _unstable(form: Form) -> npt.NDArray[np.int64]:
    """Code points that the form replaces, that it may reorder, or that may join the one before them."""
    codes: set[int] = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # vowels and finals of Hangul syllables
    for code in range(0xA0, _NUM_CLASSES):
        character = chr(code)
        if unicodedata.combining(character) or not unicodedata.is_normalized(form, character):
            codes.add(code)
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            codes.add(int(parts[1], 16))
    return np.array(sorted(codes), np.int64)

"""Taking lines out of texts, with the blank lines that would then stand together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.buffers import TextBuffers, text_array
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines
from filters.kernels.pack import copy_pieces

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cuts:
    """What to cut out of the texts of a batch; document i has spans offsets[i] to offsets[i + 1].

    starts, ends: int64 (num_spans,), bytes from the document's start, rising; offsets: int64 (num_documents + 1,).
    """

    starts: Ints
    ends: Ints
    offsets: Ints

    @property
    def num_bytes(self) -> Ints:
        """Bytes cut out of each document: int64 (num_documents,)."""
        before = np.append(0, np.cumsum(self.ends - self.starts))
        return np.diff(before[self.offsets])


def cuts_of(
    text: TextBuffers, lines: Lines, removed: npt.NDArray[np.bool_], by_paragraph: bool
) -> tuple[Cuts, npt.NDArray[np.bool_]]:
    """The spans of lines to remove, and the lines in them: bool (num_lines,).

    lines: of find_lines(text); removed: bool (num_lines,), never true for a blank line. by_paragraph: with a removed
    line all lines after it go, up to the next blank one. A line goes with its line feed, the last one with the line
    feed before it. Of the blank lines before and after what goes those before stay; at the end none.
    """
    gone = np.zeros(len(removed), np.bool_)
    _mark(lines.offsets, lines.has_content, removed, by_paragraph, gone)
    spans = np.empty((2, int(np.count_nonzero(gone))), np.int64)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    _find_spans((lines.starts, lines.ends, lines.offsets), gone, text.offsets, spans, offsets)
    return Cuts(spans[0, : offsets[-1]], spans[1, : offsets[-1]], offsets), gone


def cut_texts(text: TextBuffers, cuts: Cuts) -> pa.Array:
    """The texts, large_string, without the spans."""
    document_starts, document_ends = text.offsets[:-1], text.offsets[1:]
    shift = np.repeat(document_starts, np.diff(cuts.offsets))
    # The pieces that stay lie between a document's start or a span's end and a span's start or the document's end.
    starts = np.insert(cuts.ends + shift, cuts.offsets[:-1], document_starts)
    lengths = np.insert(cuts.starts + shift, cuts.offsets[1:], document_ends) - starts
    places = np.append(0, np.cumsum(lengths))
    data = np.empty(places[-1], np.uint8)
    copy_pieces(text.data, starts, lengths, places[:-1], data)
    return text_array(data, places[cuts.offsets + np.arange(len(cuts.offsets))])


@kernel
def _mark(offsets: Any, has_content: Any, removed: Any, by_paragraph: bool, gone: Any) -> None:
    for document in range(len(offsets) - 1):
        first, last = offsets[document], offsets[document + 1]
        after_blank, after_removed, removing = True, False, False
        for line in range(first, last):
            if has_content[line]:
                removing = removed[line] or (removing and by_paragraph)
                gone[line] = removing
            else:
                removing = False
                gone[line] = after_removed and after_blank
            after_removed = removing or gone[line]
            after_blank = after_blank if gone[line] else not has_content[line]
        line = last - 1
        while after_removed and line >= first and (gone[line] or not has_content[line]):
            gone[line] = True
            line -= 1


@kernel
def _find_spans(lines: Any, gone: Any, text_offsets: Any, spans: Any, offsets: Any) -> None:
    starts, ends, line_offsets = lines
    span = 0
    for document in range(len(line_offsets) - 1):
        origin = text_offsets[document]
        first, last = line_offsets[document], line_offsets[document + 1]
        line = first
        while line < last:
            if not gone[line]:
                line += 1
                continue
            start = starts[line]
            before = line
            while line < last and gone[line]:
                line += 1
            if line < last:
                end = starts[line]
            else:
                start = ends[before - 1] if before > first else start
                end = ends[last - 1]
            spans[0, span], spans[1, span] = start - origin, end - origin
            span += 1
        offsets[document + 1] = span

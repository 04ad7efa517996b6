"""HTML to the main text of the page.

Measured on the 1,904 pages of the labelled web set that have gold text: word F1 (bags of words), precision and recall,
each the mean over pages, and seconds for their 190 MB of HTML on one core of a busy machine.

                                                            F1     precision  recall  seconds
whole page                                                  0.744  0.641      0.986   10
resiliparse, main content, 200 characters, with comments    0.862  0.824      0.953    8
resiliparse, main content, 200 characters                   0.866  0.835      0.947   22
resiliparse, main content, 400 characters (as here)         0.868  0.834      0.952    8
resiliparse, the same at 200 without post metadata          0.863  0.833      0.944   10
trafilatura, with comments                                  0.877  0.884      0.908  307
trafilatura, without comments (as here)                     0.881  0.893      0.903  306

"200 characters": where main content is shorter, the whole page's text is taken. Alternative texts of images are left
out (F1 0.853 against 0.841 with them, 700 pages, without this rule); list bullets stay, since rules on lists look for
them. Known harm: comment sections are lost, and forums and lists keep less of their text than articles.
"""

import importlib
import logging
from collections.abc import Callable
from functools import lru_cache

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import DOMException, HTMLParserException

from corpus.read.rows import clean
from filters.kernels.buffers import text_buffers
from filters.kernels.markup import nesting
from manifests.errors import RecipeError

DROPPED = ("extract.no_text",)
FAILED = ("extract.nesting", "extract.failed")
DEFECTS = DROPPED + FAILED

# Main content of fewer characters is taken for a miss, and the whole page's text is used.
MIN_MAIN_CHARS = 400
# The parser looks at all ancestors of each element and compares the attributes of a tag in pairs: about 65 ns for each
# unit of the sum of all depths, 4 ns for each pair. The worst of 4,366 real records has depth 1,422, sum 3.1 million
# and 6,519 attributes, as estimated; at the limits a page takes some seconds.
MAX_DEPTH = 4096
MAX_SUM_OF_DEPTHS = 50_000_000
MAX_ATTRIBUTES = 20_000


def extract(table: pa.Table, method: str) -> pa.Table:
    """The table (schemas.RECORD) with main text in place of HTML; rows that have a reason stay as they are.

    method: resiliparse or trafilatura. A page without text gets the reason extract.no_text; a page that nests too deep
    or that the extractor cannot read gets extract.nesting or extract.failed, and an error. Text of such rows is "".
    Raises RecipeError if trafilatura is not installed.
    """
    extractor = extractor_of(method)
    buffers = text_buffers(table["text"])
    costs = zip(*nesting(buffers.data, buffers.offsets), strict=True)
    rows = [
        _extracted(text, extractor, cost) if reason is None else (text, reason, error)
        for text, reason, error, cost in zip(
            table["text"].to_pylist(), table["reason"].to_pylist(), table["error"].to_pylist(), costs, strict=True
        )
    ]
    for position, name in enumerate(("text", "reason", "error")):
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        table = table.set_column(index, field, pa.array([row[position] for row in rows], field.type))
    return table


def _extracted(
    html: str, extractor: Callable[[str], str], cost: tuple[int, int, int]
) -> tuple[str, str | None, str | None]:
    """(text, reason, error) of one page."""
    limits = (MAX_DEPTH, MAX_SUM_OF_DEPTHS, MAX_ATTRIBUTES)
    if any(value > limit for value, limit in zip(cost, limits, strict=True)):
        depth, total, attributes = cost
        error = (
            f"tags nest {depth} deep (at most {MAX_DEPTH}), the sum of their depths is {total} (at most "
            f"{MAX_SUM_OF_DEPTHS}), a tag has {attributes} attributes (at most {MAX_ATTRIBUTES})"
        )
        return "", "extract.nesting", error
    try:
        text = clean(extractor(html))
    except (HTMLParserException, DOMException, ValueError, RecursionError) as error:
        return "", "extract.failed", clean(f"{type(error).__name__}: {error}")
    return (text, None, None) if text.strip() else ("", "extract.no_text", None)


@lru_cache(maxsize=2)
def extractor_of(method: str) -> Callable[[str], str]:
    """The function from HTML to text. Raises RecipeError, saying what to install, if it is not there."""
    if method == "resiliparse":
        return _resiliparse
    assert method == "trafilatura", method
    try:
        module = importlib.import_module("trafilatura")
    except ImportError as error:
        raise RecipeError(
            f"[extract] method = 'trafilatura': it cannot be imported ({error}). Install it with "
            f"pip install 'gristmill[trafilatura]', or use method = 'resiliparse'."
        ) from error
    # It warns of each page without text, which the ledger tells already.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return lambda html: module.extract(html, include_comments=False) or ""


def _resiliparse(html: str) -> str:
    text = _plain_text(html, main_content=True)
    return text if len(text) >= MIN_MAIN_CHARS else _plain_text(html, main_content=False)


def _plain_text(html: str, main_content: bool) -> str:
    text: str = extract_plain_text(
        html,
        preserve_formatting=True,
        main_content=main_content,
        alt_texts=False,
        noscript=True,  # forum software keeps its posts there
        comments=False,
    )
    return text

"""A small crawl for trying everything out: made pages in twelve languages, with known defects planted in known places.

`write_sample` writes it, `compare` says how much of what was planted a build found. docs/sample.md lists the kinds.
"""

from corpus.sample.compare import compare
from corpus.sample.write import Truth, write_sample

__all__ = ["Truth", "compare", "write_sample"]

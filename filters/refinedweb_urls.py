r"""URLs and IP addresses taken out of running text, and no more than two line ends in a row. An edit.

What it does: removes each URL (`https://example.org/a?b=1`, `example.org`, also the domain of an e-mail address
together with its name) and each IPv4 address, with up to ten blanks before it; then shortens three or more line feeds
in a row to two. Counts what it removed. Rejects nothing.

Why such documents are removed: they are not, their texts are changed. Addresses are strings that no reader reads out;
a model learns to make up plausible ones, and they split paragraphs that are the same otherwise.

Known harm: sentences lose a word. "Write to jo@example.org" ends after "to"; names such as Booking.com, Node.js-like
names whose end is a domain (`socket.io`), `e.g.it` and any two sentences without a blank between them ("the end.so it
was") lose both words around the dot, since `end.so` reads as a host below `.so`. Four-part version numbers go as IP
addresses. From the main text of 1,919 web pages it removes 1,829 URLs in 436 pages, and 15 addresses; 127 of the URLs,
in 51 pages, look like two words with a dot between them.

Kept:    `See section 3.4 of Example.Org (version 2.0).` (no lower-case top-level domain, no four numbers).
Dropped: of `Read more at https://example.org/a?b=1 now.` the URL; left is `Read more at now.`

Definitions: after DCLM (see filters/kernels/refinedweb_urls.py for the two patterns):
- A URL is optionally `http://`, `https://` or `ftp://`, then 1 to 256 of letters, digits and -@:%._+~#=, a dot, a
  top-level domain in lower case that ends at a word boundary, then any letters, digits and -()@:%_+.~#?&/=.
- `semantics = "dclm"` copies a slip: DCLM means to test first whether a text holds any top-level domain, but tests
  whether it starts with one, in any letter case: texts that start with "The" (`th`, Thailand) or "In" (India) lose
  their URLs, texts that start with "We" do not. The default looks for URLs in every text.
- The names of top-level domains are those of the Public Suffix List that comes with publicsuffixlist (from IANA's
  root zone, MPL 2.0); DCLM has IANA's list of about 2020.

Parameters: `semantics`, see above. The limits (256, ten, two) are DCLM's and fixed.

Sources: Penedo et al. 2023 (RefinedWeb, arXiv:2306.01116), section G.2, says that URLs are removed; the patterns are
of DCLM's url_removal_modifier and newline_removal_modifier (baselines/mappers/modifiers.py, commit 15af3ce).
"""

import functools
import re
from importlib import resources
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.base import Columns, Documents, Edit
from filters.kernels.refinedweb_urls import COUNTS, remove_urls
from filters.kernels.unicode import UNICODE_VERSION


class RefinedWebUrls(Edit):
    """Removes URLs, IP addresses and runs of line feeds; see the module's text."""

    rule: ClassVar[str] = "refinedweb_urls"
    measures: ClassVar[tuple[str, ...]] = COUNTS

    semantics: Literal["gristmill", "dclm"] = "gristmill"

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """New texts (large_string) and float64 (num_documents,) counts of what was removed."""
        text, counts = remove_urls(documents.text, top_level_domains(), self._looks_for_urls(documents))
        return text, dict(zip(COUNTS, counts.astype(np.float64), strict=True))

    def score(self, documents: Documents) -> Columns:
        """The columns of `edit`, for those who do not want the text."""
        return self.edit(documents)[1]

    def measuring(self) -> dict[str, str]:
        """Adds the version of the Unicode tables, which say where a word ends."""
        return {**super().measuring(), "unicode": UNICODE_VERSION}

    def _looks_for_urls(self, documents: Documents) -> npt.NDArray[np.bool_]:
        """In which texts URLs are looked for: bool (num_documents,)."""
        if self.semantics == "gristmill":
            return np.ones(documents.num_documents, np.bool_)
        pattern, num_chars = _starts_with_domain()
        beginnings = pc.utf8_slice_codeunits(documents.table["text"], 0, num_chars).to_pylist()
        return np.array([pattern.match(beginning) is not None for beginning in beginnings], np.bool_)


@functools.cache
def top_level_domains() -> tuple[str, ...]:
    """The top-level domains of the Public Suffix List that publicsuffixlist brings, in Unicode and sorted."""
    text = resources.files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    public = text.partition("===BEGIN ICANN DOMAINS===")[2].partition("===END ICANN DOMAINS===")[0]
    rules = [line.split()[0] for line in public.split("\n") if line.strip() and not line.startswith("//")]
    return tuple(sorted({rule.rpartition(".")[2] for rule in rules}))


@functools.cache
def _starts_with_domain() -> tuple[re.Pattern[str], int]:
    """What matches a text that starts with a top-level domain, and how many of its characters decide it."""
    domains = top_level_domains()
    return re.compile("|".join(map(re.escape, domains)), re.IGNORECASE), max(map(len, domains))

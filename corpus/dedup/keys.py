"""Keys that equal documents share: their text, their folded words, their URL. Each is 128 bits, as two halves."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
import xxhash
from w3lib.url import canonicalize_url, url_query_cleaner

from corpus.dedup.runs import UInt64s
from corpus.recipe import Dedup
from filters.base import Documents
from filters.kernels.buffers import TextBuffers
from filters.kernels.word_keys import word_keys

# The kinds of equality, strongest first: where several hold, the first is named.
KINDS = ("exact", "normalized", "url")

# What mail, search and advertising tools add to the address of a page; it chooses no other page.
TRACKING = ("gclid", "gclsrc", "dclid", "fbclid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid")
_CAMPAIGN = re.compile(r"(?<=[?&])utm_[^=&#]*(=[^&#]*)?&?", re.IGNORECASE)
# `www.` goes where a name with a dot is left.
_PREFIX = re.compile(r"^https?://(?:www\.(?=[^/?#]+\.))?")
_PAGE = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
_INDEX = re.compile(r"/(index\.(html?|php|aspx?))?$")


def kinds(config: Dedup) -> list[str]:
    """The kinds of equality that the recipe looks for."""
    return [kind for kind in KINDS if getattr(config, kind)]


def equality_keys(documents: Documents, config: Dedup) -> dict[str, tuple[UInt64s, UInt64s, pa.Array]]:
    """For each kind: high halves, low halves (uint64), and whether a document has such a key (boolean)."""
    text = documents.text
    found = {}
    if config.exact:
        found["exact"] = (*text_keys(text), pa.array(np.diff(text.offsets) > 0))
    if config.normalized:
        keys, num_words = word_keys(text, documents.words())
        found["normalized"] = (keys[:, 0], keys[:, 1], pa.array(num_words > 0))
    if config.url:
        urls = [normalized_url(url or "") or "" for url in documents.table["url"].to_pylist()]
        digests = [xxhash.xxh3_128_digest(url.encode()) for url in urls]
        found["url"] = (*_halves(digests), pa.array([bool(url) for url in urls]))
    return found


def text_keys(text: TextBuffers) -> tuple[UInt64s, UInt64s]:
    """High and low half of each text's xxh3-128, each uint64 (num_documents,).

    One call a document costs half a microsecond, which is nothing beside the hashing of a page's text.
    """
    data = memoryview(text.data)  # type: ignore[arg-type]
    return _halves([xxhash.xxh3_128_digest(data[start:end]) for start, end in pairwise(text.offsets.tolist())])


def _halves(digests: list[bytes]) -> tuple[UInt64s, UInt64s]:
    # The canonical form of a digest is big-endian.
    halves = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
    return halves[:, 0], halves[:, 1]


def normalized_url(url: str) -> str | None:
    """The form in which URLs of one page are equal; None for what is no http or https URL with a host.

    w3lib's canonical form (host in lower case, percent-encoding and order of parameters settled, no fragment but one
    that begins with `!` and names a page), without scheme, `www.`, default port, tracking parameters, index page and
    final slash. Paths keep their case.
    """
    stripped = url.strip()
    if not _PAGE.match(stripped):
        return None
    try:
        cleaned = url_query_cleaner(
            _CAMPAIGN.sub("", stripped), TRACKING, remove=True, unique=False, keep_fragments=True
        )
        canonical = canonicalize_url(cleaned, keep_fragments="#!" in cleaned)
    except ValueError:  # a bracket that is no address, a port that is no number
        return None
    address = _PREFIX.sub("", canonical)
    host, slash, rest = address.partition("/")
    host = host.removesuffix(":80").removesuffix(":443").removesuffix(".")
    path, mark, query = (slash + rest).partition("?")
    return f"{host}{_INDEX.sub('', path)}{mark}{query}".rstrip("?")

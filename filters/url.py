"""URL: pages whose address is on a list or has listed words in it.

What it measures: `url.domain_listed` (1.0 if the host or any parent of it is on a list of domains), `url.url_listed`
(1.0 if the address is on a list of URLs), `url.num_words` and `url.num_soft_words` (different listed words in the
address).

Why such documents are removed: lists of adult, phishing, malware and spam sites cost nothing to apply and need no
text. One hard word in an address is enough; soft words (`free`, `cam`) mean something only together.

Known harm: a listed domain removes all its pages, by anyone: lists of "mixed" and "blog" hosts take whole
platforms. Words take sexual health, LGBT and abuse-support pages, which share words with what the lists are for (the
UT1 collection keeps sex education as a category of its own for that reason), and place and family names that are
spelled like a listed word. Entries are never taken back when a domain changes hands.

Kept: `https://workshop.example/` (domains = shop.example); a document without address.

Dropped: `http://eu.shop.example:8080/a` (url.blocked_domain).

Definitions: words are the pieces between characters other than a-z and 0-9 of the lower-cased address. Domains match
whole labels: `shop.example` lists `eu.shop.example`, not `workshop.example`. URLs match without scheme, user, `www.`,
port, fragment, and slashes at the end.

Parameters: `domains`, `urls`: files of one entry a line, plain, .gz or .zst, `#` starts a comment line. `words`: a
file of hard words, one hit drops. `soft_words`: a file; more than `max_soft_words` different ones drop.

Sources: Penedo et al. 2023 (RefinedWeb), appendix G.1, and datatrove's `URLFilter`; there, words are compared in
the case of the address, so that `/PORN/` passes a list with `porn`; here they are not. Lists: UT1 blacklists,
University of Toulouse.
"""

import functools
import ipaddress
import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import xxhash
from publicsuffixlist import PublicSuffixList
from pydantic import Field

from filters.base import Bound, Columns, Documents, FilePath, Filter
from filters.named_files import read_entries
from manifests import shards
from manifests.errors import RecipeError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#\\\s<>]")
_PORT = re.compile(r":[0-9]*$")
_WORD_GAP = re.compile(r"[^a-z0-9]+")
# A host has at most 127 labels (RFC 1035); a hostile one with more is looked up by its last ones.
_MAX_LABELS = 127

Hashes = npt.NDArray[np.uint64]


class Url(Filter):
    """Drops documents by their address alone."""

    rule: ClassVar[str] = "url"
    measures: ClassVar[tuple[str, ...]] = ("domain_listed", "url_listed", "num_words", "num_soft_words")
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("domain_listed", "max", "max_listed", "blocked_domain"),
        Bound("url_listed", "max", "max_listed", "blocked_url"),
        Bound("num_words", "max", "max_listed", "banned_word"),
        Bound("num_soft_words", "max", "max_soft_words", "too_many_soft_words"),
    )
    # One hit on a list or of a hard word drops: not a key of the recipe.
    max_listed: ClassVar[int] = 0

    domains: list[FilePath] = []
    urls: list[FilePath] = []
    words: FilePath | None = None
    soft_words: FilePath | None = None
    max_soft_words: int | None = Field(default=1, ge=0)

    def check(self) -> None:
        """Read all lists; raise RecipeError if none is named or one is broken, InputError if one is missing."""
        if not (self.domains or self.urls or self.words or self.soft_words):
            raise RecipeError(
                '[[filter]] url: no list is named. Give domains, urls, words or soft_words, or remove "url".'
            )
        self._lists()

    def score(self, documents: Documents) -> Columns:
        """Float64 each: `domain_listed`, `url_listed` 0.0 or 1.0; `num_words`, `num_soft_words` counts."""
        addresses = documents.table["url"].to_pylist()
        domains, urls, words, soft_words = self._lists()
        found = [_words(address) for address in addresses]
        return {
            "domain_listed": _any_listed(domains, [_host_hashes(host_of(address)) for address in addresses]),
            "url_listed": _any_listed(urls, [_url_hashes(address) for address in addresses]),
            "num_words": np.array([len(words & each) for each in found], np.float64),
            "num_soft_words": np.array([len(soft_words & each) for each in found], np.float64),
        }

    def _lists(self) -> tuple[Hashes, Hashes, frozenset[str], frozenset[str]]:
        return (
            _hash_lists(tuple((path, shards.file_digest(path)) for path in self.domains), "domains"),
            _hash_lists(tuple((path, shards.file_digest(path)) for path in self.urls), "urls"),
            _word_list(self.words, shards.file_digest(self.words)) if self.words else frozenset(),
            _word_list(self.soft_words, shards.file_digest(self.soft_words)) if self.soft_words else frozenset(),
        )


def registered_domain(url: str | None) -> str | None:
    """The part of the host that was registered: `bbc.co.uk` for `http://news.bbc.co.uk/`, lower case, punycode.

    Private suffixes of the Public Suffix List count (`a.blogspot.com` is registered); the list is the one that comes
    with publicsuffixlist. None for null and broken addresses, IP addresses, single labels and suffixes themselves.
    """
    return _registered(host_of(url))


def top_level_domain(url: str | None) -> str | None:
    """The last label of the host (`uk`, `com`, `xn--p1ai`); None where the host is absent, an IP or one label."""
    host = host_of(url)
    return None if "." not in host or _is_ip(host) else host.rsplit(".", 1)[1]


def _split(url: str) -> tuple[str, str]:
    """Host (lower case, punycode, no user, port or brackets; "" if there is none) and what follows it; never raises."""
    address = url.strip().strip("<>").strip()
    scheme = _SCHEME.match(address)
    address = address[scheme.end() :] if scheme else address.removeprefix("//")
    end = _HOST_END.search(address)
    authority, rest = (address[: end.start()], address[end.start() :]) if end else (address, "")
    return _clean_host(authority.rpartition("@")[2]), rest


@functools.lru_cache(maxsize=65_536)
def _clean_host(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    host = authority if authority.count(":") > 1 else _PORT.sub("", authority)  # a bare IPv6 address has no port
    host = host.lower().strip(".")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:  # labels too long or empty, characters outside IDNA 2003
        return host


def host_of(url: str | None) -> str:
    """The host of an address with or without scheme: lower case, punycode, no user, no port; "" if there is none."""
    return _split(url)[0] if url else ""


@functools.lru_cache(maxsize=65_536)
def _registered(host: str) -> str | None:
    return None if not host or _is_ip(host) else public_suffixes().privatesuffix(host)


@functools.lru_cache(maxsize=1)
def public_suffixes() -> PublicSuffixList:
    """The Public Suffix List inside the package publicsuffixlist; read once per process, which takes half a second."""
    return PublicSuffixList()


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_www(host: str) -> str:
    return host.removeprefix("www.")


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


@functools.lru_cache(maxsize=65_536)
def _host_hashes(host: str) -> tuple[int, ...]:
    """One hash for the host and for each of its parents; only the whole for an IP address."""
    if not host:
        return ()
    if _is_ip(host):
        return (_hash(host),)
    labels = host.split(".")[-_MAX_LABELS:]
    return tuple(_hash(".".join(labels[start:])) for start in range(len(labels)))


def _normal_url(url: str) -> str:
    host, rest = _split(url)
    return _without_www(host) + rest.partition("#")[0].rstrip("/")


def _url_hashes(url: str | None) -> tuple[int, ...]:
    return (_hash(_normal_url(url)),) if url else ()


def _words(url: str | None) -> frozenset[str]:
    return frozenset(_WORD_GAP.split(url.lower())) if url else frozenset()


def _any_listed(listed: Hashes, candidates: list[tuple[int, ...]]) -> npt.NDArray[np.float64]:
    """1.0 for each document of which any hash is listed, else 0.0."""
    if not len(listed):
        return np.zeros(len(candidates), np.float64)
    rows = np.repeat(np.arange(len(candidates)), [len(each) for each in candidates])
    hashes = np.array([value for each in candidates for value in each], np.uint64)
    position = np.minimum(np.searchsorted(listed, hashes), len(listed) - 1)
    result = np.zeros(len(candidates), np.float64)
    result[rows[listed[position] == hashes]] = 1.0
    return result


@functools.lru_cache(maxsize=16)
def _hash_lists(files: tuple[tuple[str, str], ...], kind: str) -> Hashes:
    """Sorted xxh3-64 of all entries of files (path, digest): 8 bytes an entry, a tenth of a set of strings.

    A wrong hit has a chance of entries / 2**64 per look-up: 1e-12 for the five million domains of UT1's largest list.
    """
    entry_of = _domain_entry if kind == "domains" else _normal_url
    hashes = [_hash(entry_of(entry)) for path, _ in files for entry in read_entries(path)]
    return np.unique(np.array(hashes, np.uint64))


def _domain_entry(entry: str) -> str:
    return _without_www(_clean_host(entry.removeprefix("*")))


@functools.lru_cache(maxsize=16)
def _word_list(path: str, digest: str) -> frozenset[str]:  # digest: a file that changes is read again
    words = frozenset(entry.lower() for entry in read_entries(path))
    for word in sorted(words):
        if _WORD_GAP.search(word):
            raise RecipeError(f"{path}: {word!r} can match no word of an address. Words are of a-z and 0-9 only.")
    return words

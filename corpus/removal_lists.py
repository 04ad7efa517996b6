"""What is to be removed: lists of document ids, URLs and domains, and which records they name."""

import re
from dataclasses import dataclass

import polars as pl

from corpus.dedup.keys import normalized_url
from filters.named_files import parse_entries, read_text
from filters.url import host_of, public_suffixes
from manifests.errors import InputError

KINDS = ("ids", "urls", "domains")
_AUTHORITY = r"^[\s<]*(?:[A-Za-z][A-Za-z0-9+.\-]*://|//)?([^/?#\\\s<>]*)"
_DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Lists:
    """For each kind the lines as they were written, with what is compared; several lines may name the same.

    ids: document ids; urls: URLs as deduplication compares them; domains: hosts in lower case and punycode, which name
    the hosts below them too.
    """

    ids: dict[str, str]
    urls: dict[str, str]
    domains: dict[str, str]

    def match(self, records: pl.DataFrame) -> pl.DataFrame:
        """For records with doc_id and url what names them: columns `ids`, `urls`, `domains`, null where nothing does.

        Of lines that are compared as equal it is the first.
        """
        unknown = pl.repeat(None, records.height, dtype=pl.String, eager=True)
        hosts = _hosts(records["url"]) if self.urls or self.domains else unknown
        domains = _first_lines(self.domains)
        return pl.DataFrame(
            {
                "ids": _look_up(records["doc_id"], _first_lines(self.ids)),
                "urls": self._listed_urls(records["url"], hosts),
                "domains": _look_up(hosts, {host: _parent_in(domains, host) for host in hosts.unique() if host}),
            }
        )

    def not_found(self, found: dict[str, set[str]]) -> list[str]:
        """Lines of which no record was named. found: of each kind, values of its column of `match`."""
        missing = []
        for kind in KINDS:
            lines: dict[str, str] = getattr(self, kind)
            first = _first_lines(lines)
            missing += [line for line, key in lines.items() if first[key] not in found[kind]]
        return list(dict.fromkeys(missing))

    def _listed_urls(self, urls: pl.Series, hosts: pl.Series) -> pl.Series:
        """Normalizing takes 30 microseconds: only URLs on a listed host are."""
        lines = _first_lines(self.urls)
        listed = list({host_of(key).removeprefix("www.") for key in lines} - {""})
        near = urls.filter(hosts.str.strip_prefix("www.").is_in(listed)).unique()
        named = {url: lines.get(normalized_url(url) or url) for url in near}
        same = {line: lines[key] for line, key in self.urls.items()}  # also what no host can be found in
        return _look_up(urls, same).fill_null(_look_up(urls, named))


def read_lists(ids: str | None, urls: str | None, domains: str | None) -> Lists:
    """The lists in these files, at least one: an entry a line; empty lines and lines that begin with `#` say nothing.

    Raises InputError, with file and entry, for a file that cannot be read or is empty and for what is no entry.
    """
    return Lists(
        ids={line: _document_id(line, str(ids)) for line in _read(ids)},
        urls={line: normalized_url(line) or line for line in _read(urls)},
        domains={line: _domain(line, str(domains)) for line in _read(domains)},
    )


def _first_lines(lines: dict[str, str]) -> dict[str, str]:
    """What is compared -> the first line that stands for it."""
    return {key: line for line, key in reversed(lines.items())}


def _parent_in(domains: dict[str, str], host: str) -> str | None:
    """The line of the host, or of the nearest domain above it."""
    labels = host.split(".")
    parents = (".".join(labels[start:]) for start in range(len(labels)))
    return next((domains[parent] for parent in parents if parent in domains), None)


def _read(path: str | None) -> list[str]:
    if path is None:
        return []
    lines = parse_entries(read_text(path))
    if not lines:
        raise InputError(f"{path}: holds no entry, so there is nothing to remove. Write one entry on each line.")
    return lines


def _document_id(line: str, path: str) -> str:
    if not _DOCUMENT_ID.fullmatch(line.lower()):
        raise InputError(f"{path}: {line!r} is no document id. Ids are 32 hex characters, as in the ledger's doc_id.")
    return line.lower()


def _domain(line: str, path: str) -> str:
    host = host_of(line.removeprefix("*."))
    if not host or re.search(r"[/:@\s]", line):
        raise InputError(f"{path}: {line!r} is no domain. Write it as example.com, or list URLs in a file for --urls.")
    if public_suffixes().publicsuffix(host) == host:
        raise InputError(
            f"{path}: {line!r} is a public suffix: anyone registers names below it, and all of them would go. List the "
            "domains that are meant."
        )
    return host


def _hosts(urls: pl.Series) -> pl.Series:
    """The host of each URL, found once for all URLs that share it."""
    authorities = urls.str.extract(_AUTHORITY)
    return _look_up(
        authorities, {authority: host_of(authority) or None for authority in authorities.drop_nulls().unique()}
    )


def _look_up(keys: pl.Series, known: dict[str, str | None] | dict[str, str]) -> pl.Series:
    """The value of each key, null where there is none."""
    return keys.replace_strict(known, default=None, return_dtype=pl.String)

"""Where a text holds e-mail addresses, account and card numbers, IP addresses and phones; exact, in bytes.

Each search takes the UTF-8 of one text and gives spans (start, end) in bytes, from left to right, without overlaps,
on character boundaries. Numbers count only when their check digits, lengths and prefixes are right, so that order
numbers and dates do not. Patterns have bounded repeats: time grows linearly with the text, whatever is in it.
"""

import functools
import ipaddress
import re
from collections.abc import Iterator

import phonenumbers
from publicsuffixlist import PublicSuffixList
from stdnum import iban, luhn, numdb

Span = tuple[int, int]

_ALNUM = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTINUATION = bytes(range(0x80, 0xC0))
# Latin letters with marks, U+00C0 to U+027F. Other scripts are left out: text without blanks would go with the address.
_LATIN = rb"[\xc3-\xc9][\x80-\xbf]"
_LOCAL = _ALNUM + b"._%+-'" + _CONTINUATION + bytes(range(0xC3, 0xCA))
_MAX_LOCAL_BYTES, _MAX_DOMAIN_BYTES = 64, 253  # RFC 5321, section 4.5.3.1
_CHARACTER = rb"(?:[0-9A-Za-z]|" + _LATIN + rb")"
_LABEL = _CHARACTER + rb"(?:(?:" + _CHARACTER + rb"|-){0,61}" + _CHARACTER + rb")?"
_DOMAIN = re.compile(rb"(?:" + _LABEL + rb"\.){1,8}(?:xn--[0-9A-Za-z-]{2,59}|[A-Za-z]{2,24})(?![0-9A-Za-z])")

_IBAN_START = re.compile(rb"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?=[ -]?[0-9A-Z])")
_BBAN_PART = re.compile(r"(\d+)!")

_CARD = re.compile(
    rb"(?<![0-9A-Za-z_.+])"
    rb"(?:[0-9]{12,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})"
    rb"(?![0-9A-Za-z_]|\.[0-9])"
)
_SIXTEEN, _SIXTEEN_UP = (16,), (16, 17, 18, 19)
_MAESTRO_LENGTHS = tuple(range(12, 20))
# First and last prefix (same number of digits) and the lengths that the network issues. Visa's 13 digits are left out:
# none was issued for decades, and one in ten German article numbers (EAN 400-440) would pass for one.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", (16, 19)),  # Visa
    ("51", "55", _SIXTEEN),  # Mastercard
    ("2221", "2720", _SIXTEEN),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16, 17, 18, 19)),  # Diners Club
    ("36", "36", (14, 16, 17, 18, 19)),
    ("38", "39", (14, 16, 17, 18, 19)),
    ("6011", "6011", _SIXTEEN_UP),  # Discover
    ("644", "649", _SIXTEEN_UP),
    ("65", "65", _SIXTEEN_UP),
    ("62", "62", _SIXTEEN_UP),  # UnionPay
    ("81", "81", _SIXTEEN_UP),
    ("3528", "3589", _SIXTEEN_UP),  # JCB
    ("1800", "1800", (15,)),
    ("2131", "2131", (15,)),
    ("2200", "2204", _SIXTEEN_UP),  # Mir
    ("5018", "5018", _MAESTRO_LENGTHS),  # Maestro
    ("5020", "5020", _MAESTRO_LENGTHS),
    ("5038", "5038", _MAESTRO_LENGTHS),
    ("5893", "5893", _MAESTRO_LENGTHS),
    ("6304", "6304", _MAESTRO_LENGTHS),
    ("6759", "6759", _MAESTRO_LENGTHS),
    ("6761", "6763", _MAESTRO_LENGTHS),
)

_IPV4 = re.compile(rb"(?<![0-9A-Za-z_.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])")
_IPV6 = re.compile(rb"(?<![0-9A-Za-z_:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,34}(?![0-9A-Za-z_:])")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given out so far (RFC 4291, section 2.4)

# Blank, brackets, dot, dash, slash; no-break blank; the hyphens and dashes U+2010 to U+2015.
_GAP = rb"(?:[ ().\-/]|\xc2\xa0|\xe2\x80[\x90-\x95])"
_EXTENSION = rb"(?:[ ,;]{0,2}(?:x|ext\.?|extension)[ .:]?[0-9]{1,6})?"
_INTERNATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_+])\+"
    + _GAP
    + rb"{0,2}[0-9](?:"
    + _GAP
    + rb"{0,3}[0-9]){6,17}"
    + _EXTENSION
    + rb"(?![0-9A-Za-z_])"
)
_NATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_.+/:#=-])\(?[0-9](?:"
    + _GAP
    + rb"{0,3}[0-9]){6,14}"
    + _EXTENSION
    + rb"(?![0-9A-Za-z_]|[.:/-][0-9])"
)
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_LAST_GROUP = re.compile(r"[^0-9]+[0-9]+$")
# A year or price after a number reads like one more group of it.
_MAX_GROUPS_TOO_MANY = 2


def find_emails(text: bytes) -> Iterator[Span]:
    """E-mail addresses whose domain ends in a top-level domain of the Public Suffix List (so not `icon@2x.png`)."""
    free_from = 0
    at = text.find(b"@")
    while at >= 0:
        start, end = _local_start(text, at, free_from), _domain_end(text, at + 1)
        if start < at and end > at:
            yield start, end
            free_from = end
        at = text.find(b"@", max(at + 1, free_from))


def _local_start(text: bytes, at: int, free_from: int) -> int:
    """Where the part before `@` begins; `at` if there is none or it is too long."""
    window = text[max(at - _MAX_LOCAL_BYTES - 1, free_from) : at]
    local = window[len(window.rstrip(_LOCAL)) :].lstrip(_CONTINUATION).lstrip(b".%+-'")
    # The lead byte of another script's letter stays outside; so must the rest of that letter.
    return at if len(local) > _MAX_LOCAL_BYTES or local.endswith(b".") else at - len(local)


def _domain_end(text: bytes, start: int) -> int:
    """Where the domain from `start` ends; -1 if there is none. Words after it that look like more labels are left."""
    match = _DOMAIN.match(text, start, start + _MAX_DOMAIN_BYTES + 1)
    if match is None:
        return -1
    labels = match.group().split(b".")
    while len(labels) > 1 and not _is_top_level_domain(labels[-1].lower()):
        labels.pop()
    return start + len(b".".join(labels)) if len(labels) > 1 else -1


@functools.lru_cache(maxsize=4096)
def _is_top_level_domain(label: bytes) -> bool:
    return label.isascii() and _known_suffixes().publicsuffix(label.decode("ascii")) is not None


@functools.lru_cache(maxsize=1)
def _known_suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def find_ibans(text: bytes) -> Iterator[Span]:
    """International bank account numbers in capitals, with or without blanks or hyphens; check digits are right."""
    free_from = 0
    for match in _IBAN_START.finditer(text):
        length = _iban_length(match.group()[:2].decode("ascii"))
        if match.start() < free_from or length is None:
            continue
        rest = _alphanumerics(length - 4).match(text, match.end())
        if rest and iban.is_valid(text[match.start() : rest.end()].decode("ascii"), check_country=False):
            free_from = rest.end()
            yield match.start(), free_from


@functools.lru_cache(maxsize=512)
def _iban_length(country: str) -> int | None:
    """Characters of an account number of a country, check digits included; None where it has none."""
    for _, fields in numdb.get("iban").info(country):
        if structure := fields.get("bban"):
            return 4 + sum(int(part) for part in _BBAN_PART.findall(structure))
    return None


@functools.lru_cache(maxsize=64)
def _alphanumerics(count: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:[ -]?[0-9A-Z]){%d}(?![0-9A-Za-z])" % count)


def find_cards(text: bytes) -> Iterator[Span]:
    """Payment card numbers of known networks with right check digit, unbroken or in the groups printed on cards."""
    match = _CARD.search(text)
    while match:
        is_card = _is_card(re.sub(rb"[ -]", b"", match.group()).decode("ascii"))
        if is_card:
            yield match.span()
        match = _CARD.search(text, match.end() if is_card else match.start() + 1)


def _is_card(digits: str) -> bool:
    return luhn.is_valid(digits) and any(
        first <= digits[: len(first)] <= last and len(digits) in lengths for first, last, lengths in _ISSUERS
    )


def find_ip_addresses(text: bytes) -> Iterator[Span]:
    """Globally routable addresses. IPv4 has a part of two or more digits: 1.2.3.4 is a version or a heading."""
    spans = [match.span() for match in _IPV4.finditer(text) if _is_global_ipv4(match.group())]
    for match in _IPV6.finditer(text):
        address = match.group()
        if address.endswith(b":") and not address.endswith(b"::"):
            address = address[:-1]
        if _is_global_ipv6(address):
            spans.append((match.start(), match.start() + len(address)))
    return iter(sorted(spans))


def _is_global_ipv4(address: bytes) -> bool:
    # All four parts below 10 happens to one address in 400,000; public resolvers (8.8.8.8) are among them.
    if all(len(part) == 1 for part in address.split(b".")):
        return False
    try:
        return ipaddress.IPv4Address(address.decode("ascii")).is_global
    except ValueError:
        return False


def _is_global_ipv6(address: bytes) -> bool:
    try:
        parsed = ipaddress.IPv6Address(address.decode("ascii"))
    except ValueError:
        return False
    return parsed in _GLOBAL_UNICAST and parsed.is_global


def find_phones(text: bytes, region: str | None) -> Iterator[Span]:
    """Phone numbers that could be in use: with `+` and country code, and the national ones of a region where given."""
    international = list(_phones_of(_INTERNATIONAL, text, None))
    if region is None:
        return iter(international)
    taken = blank(text, international)
    return iter(sorted([*international, *_phones_of(_NATIONAL, taken, region)]))


def _phones_of(pattern: re.Pattern[bytes], text: bytes, region: str | None) -> Iterator[Span]:
    for match in pattern.finditer(text):
        window = match.group().decode("utf-8")
        found = _phone_in(window, region)
        if found is not None:
            start = match.start() + len(window[: found[0]].encode())
            yield start, start + len(window[found[0] : found[1]].encode())


@functools.lru_cache(maxsize=4096)
def _phone_in(window: str, region: str | None) -> Span | None:
    """The first number in a run of digits and gaps, in characters; None if there is none."""
    if region is not None and _DECIMAL.fullmatch(window):
        return None
    for _ in range(_MAX_GROUPS_TOO_MANY + 1):
        for number in phonenumbers.PhoneNumberMatcher(window, region):
            return number.start, number.end
        shorter = _LAST_GROUP.sub("", window)
        if region is not None or shorter == window:
            return None
        window = shorter
    return None


def blank(text: bytes, spans: list[Span]) -> bytes:
    """The text with NUL in place of the spans' bytes, which no search matches; positions stay."""
    if not spans:
        return text
    result = bytearray(text)
    for start, end in spans:
        result[start:end] = bytes(end - start)
    return bytes(result)

"""The hints of filters.kernels.identifiers as regular expressions, one search per hint."""

import re

from filters.kernels.identifiers import CARD, EMAIL, IBAN, INTERNATIONAL_PHONE, IPV4, IPV6, NATIONAL_PHONE

PATTERNS = {
    EMAIL: re.compile(rb"[\x21-\xff]@[0-9A-Za-z\x80-\xff]", re.DOTALL),
    IBAN: re.compile(rb"[A-Z][A-Z][0-9][0-9]"),
    CARD: re.compile(rb"[0-9](?:[ -]?[0-9]){11}"),
    IPV4: re.compile(rb"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"),
    IPV6: re.compile(rb"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:"),
    INTERNATIONAL_PHONE: re.compile(rb"\+[ (]{0,2}[0-9]"),
    NATIONAL_PHONE: re.compile(rb"[0-9](?:[^0-9A-Za-z]{0,3}[0-9]){6}"),
}


def hints(text: str) -> int:
    """The sum of the bits whose pattern is found in the UTF-8 of a text."""
    return sum(bit for bit, pattern in PATTERNS.items() if pattern.search(text.encode()))

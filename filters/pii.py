"""Personal identifiers: masks e-mail addresses, IP addresses, phone, account and card numbers.

What it does: replaces each by a placeholder (`[EMAIL]`, `[IP]`, `[PHONE]`, `[IBAN]`, `[CARD]`), which no later run
changes, and counts what it masks: `pii.num_emails`, `pii.num_ip_addresses`, `pii.num_phones`, `pii.num_ibans`,
`pii.num_cards`. Rejects nothing.

Why such documents are removed: they are not, their texts are changed. Models repeat what they read more than once, and
such strings lead to a person at once. A placeholder that says what stood there keeps the sentence; a made-up address
(datatrove writes one of a few) could be someone's.

Known harm: masks what is meant to be public: the contact lines of shops, parties and help lines, `git@host` in
manuals, four-part version numbers such as 17.4.33.6. Numbers of other meaning pass check digits by chance: one in ten
of 16 digits that begin as a card does, one in 97 that look like an account. Misses more: names, postal addresses and
numbers of passports or taxes are not looked for; `jo at example.org`, mail names in scripts other than Latin (their
ASCII end is masked), mail domains that are IP addresses, full-width digits and 13-digit Visa numbers are not found.
On invented records (Presidio) it finds 46 of 46 e-mail addresses, 24 of 24 accounts, 5 of 5 IP addresses and 218 of
232 cards with no false find, but 2 of 74 phones (13 with phone_region "US"): people of countries that write numbers
without `+` are masked less. Of 522 example numbers of libphonenumber all are found as `+` numbers, 511 in the
national form of their region. In 1,919 web pages it masks 233 e-mail addresses, 18 phones (240 with "US") and one IP
address.

Kept: `Version 1.2.3.4, host 192.168.0.1, order 4111 1111 1111 1112.` as it is (not public, check digit wrong).

Dropped: of `Write to jo@example.org or call +44 20 7946 0958.` the two; left is `Write to [EMAIL] or call [PHONE].`

Definitions: where kinds overlap the order is e-mail, account, card, IP address, phone.

Parameters: `kinds`: what to mask, all by default. `phone_region`: an ISO 3166 country code whose national numbers
are masked too; "off" masks numbers with `+` and country code only, since a bare number is a phone in some country
nearly always.

Sources: FineWeb (Penedo et al. 2024) masks e-mail and public IP addresses; check digits: ISO 13616, ISO/IEC 7812;
phones: Google's libphonenumber as ported in phonenumbers.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import phonenumbers
import pyarrow as pa
from pydantic import Field

from filters import identifiers
from filters.base import Columns, Documents, Edit
from filters.kernels.buffers import text_array
from filters.kernels.identifiers import CARD, EMAIL, IBAN, INTERNATIONAL_PHONE, IPV4, IPV6, NATIONAL_PHONE, find_hints
from manifests.errors import RecipeError
from manifests.strict import did_you_mean

Kind = Literal["email", "iban", "card", "ip", "phone"]
# The order in which kinds claim bytes.
KINDS: tuple[Kind, ...] = get_args(Kind)
PLACEHOLDERS: dict[Kind, bytes] = {kind: b"[%b]" % kind.upper().encode() for kind in KINDS}

_HINTS: dict[Kind, int] = {"email": EMAIL, "iban": IBAN, "card": CARD, "ip": IPV4 | IPV6, "phone": INTERNATIONAL_PHONE}
_MEASURES: dict[Kind, str] = {
    "email": "num_emails",
    "ip": "num_ip_addresses",
    "phone": "num_phones",
    "iban": "num_ibans",
    "card": "num_cards",
}


class Pii(Edit):
    """Replaces personal identifiers by typed placeholders."""

    rule: ClassVar[str] = "pii"
    measures: ClassVar[tuple[str, ...]] = tuple(_MEASURES.values())

    kinds: list[Kind] = Field(default=list(KINDS), min_length=1)
    phone_region: str | None = None

    def check(self) -> None:
        """Raise RecipeError if the region is none that phonenumbers knows."""
        if self.phone_region is not None and self.phone_region not in phonenumbers.SUPPORTED_REGIONS:
            raise RecipeError(
                f"[[filter]] pii: phone_region = {self.phone_region!r} is no ISO 3166 country code in capitals"
                f"{did_you_mean(self.phone_region.upper(), phonenumbers.SUPPORTED_REGIONS)}"
            )

    def measuring(self) -> dict[str, Any]:
        """The kinds in the order in which they are searched: another order in the recipe changes nothing."""
        return {**super().measuring(), "kinds": [kind for kind in KINDS if kind in self.kinds]}

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """Texts with placeholders, and counts: float64 (num_documents,) each."""
        data, offsets = documents.text.data, documents.text.offsets
        counts = {kind: np.zeros(documents.num_documents, np.float64) for kind in KINDS}
        changed: dict[int, bytes] = {}
        hints = find_hints(documents.text)
        for row in np.flatnonzero(hints & self._hints_of_all()).tolist():
            text = data[offsets[row] : offsets[row + 1]].tobytes()
            found = self._find(text, int(hints[row]))
            for _, _, kind in found:
                counts[kind][row] += 1.0
            if found:
                changed[row] = _mask(text, found)
        return _replaced(data, offsets, changed), {name: counts[kind] for kind, name in _MEASURES.items()}

    def _hints_of(self, kind: Kind) -> int:
        national = NATIONAL_PHONE if kind == "phone" and self.phone_region is not None else 0
        return _HINTS[kind] | national

    def _hints_of_all(self) -> int:
        return sum({self._hints_of(kind) for kind in self.kinds})

    def _find(self, text: bytes, hints: int) -> list[tuple[int, int, Kind]]:
        """(start, end, kind) from left to right, without overlaps: what a kind has claimed, later ones do not see."""
        found: list[tuple[int, int, Kind]] = []
        for kind in KINDS:
            if kind in self.kinds and hints & self._hints_of(kind):
                spans = list(self._search(kind)(text))
                found += [(start, end, kind) for start, end in spans]
                text = identifiers.blank(text, spans)
        return sorted(found)

    def _search(self, kind: Kind) -> Callable[[bytes], Iterator[identifiers.Span]]:
        searches: dict[Kind, Callable[[bytes], Iterator[identifiers.Span]]] = {
            "email": identifiers.find_emails,
            "iban": identifiers.find_ibans,
            "card": identifiers.find_cards,
            "ip": identifiers.find_ip_addresses,
            "phone": lambda text: identifiers.find_phones(text, self.phone_region),
        }
        return searches[kind]


def _mask(text: bytes, found: list[tuple[int, int, Kind]]) -> bytes:
    parts, position = [], 0
    for start, end, kind in found:
        parts += [text[position:start], PLACEHOLDERS[kind]]
        position = end
    return b"".join([*parts, text[position:]])


def _replaced(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], changed: dict[int, bytes]) -> pa.Array:
    """All texts, with those of some rows changed; runs of unchanged rows are copied as one piece."""
    num_bytes = np.diff(offsets)
    parts: list[Any] = []
    position = int(offsets[0])
    for row, text in changed.items():
        parts += [data[position : offsets[row]], text]
        position = int(offsets[row + 1])
        num_bytes[row] = len(text)
    parts.append(data[position : offsets[-1]])
    new_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(num_bytes)])
    return text_array(np.frombuffer(bytearray().join(parts), np.uint8), new_offsets)

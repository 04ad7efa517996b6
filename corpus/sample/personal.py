"""Invented personal data with valid check digits, from ranges that belong to nobody.

IBANs use bank codes that no bank has (Germany: first digit 9; Great Britain: TEST). Cards lie in the number ranges that
payment processors publish for tests. Phone numbers lie in the ranges that regulators keep for film and television
(Ofcom, NANPA 555-01xx, Bundesnetzagentur). IP addresses lie in two blocks that IANA lists as globally reachable and
that serve DNS sinks only (192.31.196.0/24 and 192.175.48.0/24, RFC 7535 and 7534). E-mail addresses stand under
the reserved domains of RFC 2606.
"""

from random import Random

KINDS = ("emails", "phones", "ibans", "cards", "ip_addresses")

_CARD_PREFIXES = ("424242424242", "411111111111", "555555555555")
_MAIL_HOSTS = ("example.com", "example.net", "example.org")
_IP_PREFIXES = ("192.31.196.", "192.175.48.")
_FIRST = ("agnes", "bertil", "clemence", "dorian", "edith", "farid", "greta", "hollis", "imelda", "jonas")
_LAST = ("ashwick", "barrowfen", "cobbleday", "dunmarrow", "elderglass", "fennimoor", "garthwaite", "hollowby")
_SENTENCES = {
    "emails": (
        "For questions please write to {value} before the end of the week.",
        "Photographs of the day can be sent to {value}, with names if possible.",
        "Her new address is {value}; the old one is no longer read.",
    ),
    "phones": (
        "The office can be reached by telephone under {value} in the morning.",
        "Call {value} if the gate is locked.",
        "Lifts are arranged by the treasurer, telephone {value}, until Thursday evening.",
    ),
    "ibans": (
        "Members pay the yearly fee to the account {value} by bank transfer.",
        "Gifts for the new roof may go to {value} at any time.",
        "He repaid his debt into {value}, a month late.",
    ),
    "cards": (
        "The deposit was charged to the card {value} by mistake.",
        "Somebody had noted the number {value} on the back of the receipt.",
        "A refund to {value} takes about ten working days.",
    ),
    "ip_addresses": (
        "The last login to the account came from the address {value} at night.",
        "Behind {value} stood an old printer in the reading room.",
        "Visitors whose browser shows {value} share one line with the school.",
    ),
}


def luhn_digit(digits: str) -> str:
    """The check digit that ISO/IEC 7812 wants after the digits."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def iban(country: str, account: str) -> str:
    """The IBAN of an account: country, two check digits (ISO 13616, mod 97), account."""
    number = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{account}"


def personal_value(kind: str, rng: Random) -> str:
    """One value of a kind of KINDS, formatted as people write it."""
    if kind == "emails":
        return f"{rng.choice(_FIRST)}.{rng.choice(_LAST)}{rng.randint(1, 99)}@{rng.choice(_MAIL_HOSTS)}"
    if kind == "phones":
        return _phone(rng)
    if kind == "ibans":
        return _iban(rng)
    if kind == "cards":
        digits = rng.choice(_CARD_PREFIXES) + f"{rng.randint(0, 999):03d}"
        digits += luhn_digit(digits)
        return " ".join(digits[start : start + 4] for start in range(0, 16, 4))
    return rng.choice(_IP_PREFIXES) + str(rng.randint(1, 254))


def personal_sentence(kind: str, number: int, value: str) -> str:
    """An English sentence that holds the value; sentences 0 to 2 of a kind differ, so that no page repeats one."""
    return _SENTENCES[kind][number % len(_SENTENCES[kind])].format(value=value)


def _phone(rng: Random) -> str:
    number = rng.randint(0, 999)
    return rng.choice(
        [
            f"+1 202 555 01{number % 100:02d}",
            f"+44 20 7946 0{number:03d}",
            f"+49 30 23125 {number:03d}",
        ]
    )


def _iban(rng: Random) -> str:
    account = f"{rng.randint(0, 10**8 - 1):08d}"
    code = iban("DE", f"9990000000{account}") if rng.random() < 0.5 else iban("GB", f"TEST000000{account}")
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))

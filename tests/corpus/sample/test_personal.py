import ipaddress
from pathlib import Path
from random import Random

import phonenumbers
import pytest
import stdnum.iban
import stdnum.luhn

from corpus.sample import Truth
from corpus.sample.personal import KINDS, iban, luhn_digit, personal_sentence, personal_value
from tests.corpus.sample.helpers import page_text, read_responses, read_truth


def values(kind: str) -> list[str]:
    rng = Random(kind)
    return [personal_value(kind, rng) for _ in range(200)]


def test_check_digits_are_those_of_the_standards() -> None:
    assert luhn_digit("7992739871") == "3"  # the worked example of the Luhn algorithm
    assert iban("GB", "WEST12345698765432") == "GB82WEST12345698765432"  # the example of ISO 13616


def test_ibans_are_valid() -> None:
    assert all(stdnum.iban.is_valid(value) for value in values("ibans"))


def test_cards_are_valid() -> None:
    assert all(stdnum.luhn.is_valid(value.replace(" ", "")) and len(value) == 19 for value in values("cards"))


def test_phone_numbers_are_valid() -> None:
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(value)) for value in values("phones"))


def test_ip_addresses_are_public() -> None:
    assert all(ipaddress.ip_address(value).is_global for value in values("ip_addresses"))


def test_mail_addresses_stand_under_reserved_domains() -> None:
    hosts = {value.partition("@")[2] for value in values("emails")}
    assert hosts == {"example.com", "example.net", "example.org"}


@pytest.mark.parametrize("kind", KINDS)
def test_three_sentences_of_a_kind_differ(kind: str) -> None:
    assert len({personal_sentence(kind, number, "VALUE") for number in range(3)}) == 3


def test_every_planted_value_stands_in_its_page(sample: tuple[Path, Truth]) -> None:
    folder, _ = sample
    blocks = read_responses(folder)
    rows = [row for row in read_truth(folder) if row["kind"] == "pii"]
    assert len(rows) == 16
    for row in rows:
        html = page_text(blocks[row["url"]])
        assert sum(row["counts"].values()) == len(row["values"])
        assert [value for value in row["values"] if value not in html] == []

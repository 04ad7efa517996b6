"""Identifiers: what is found where, what is not, and hostile texts."""

import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from filters.identifiers import blank, find_cards, find_emails, find_ibans, find_ip_addresses, find_phones
from tests.shared import shared_data


def found(search, text):
    data = text.encode()
    return [data[start:end].decode() for start, end in search(data)]


def international(data):
    return find_phones(data, None)


def british(data):
    return find_phones(data, "GB")


@pytest.mark.parametrize(
    ("text", "emails"),
    [
        ("jo@example.org", ["jo@example.org"]),
        ("<jo.do+x@mail.example.co.uk>, 'a@b.de'.", ["jo.do+x@mail.example.co.uk", "a@b.de"]),
        ("see jo@example.org.Thanks", ["jo@example.org"]),
        ("a@b.com@c.com", ["a@b.com"]),
        ("müller@straße.de", ["müller@straße.de"]),
        ("邮箱jo@example.org请", ["jo@example.org"]),
        ("mailto:jo@example.org?subject=x", ["jo@example.org"]),
        ("https://jo:secret@example.org/", ["secret@example.org"]),
        ("icon@2x.png", []),
        ("jo@host.local", []),
        ("jo@localhost", []),
        ("@jo@", []),
        ("jo @example.org", []),
        ("jo.@example.org", []),
        ("...@example.org", []),
        ("a" * 64 + "@example.org", ["a" * 64 + "@example.org"]),
        ("a" * 65 + "@example.org", []),
        ("jo@xn--80ak6aa92e.xn--p1ai", ["jo@xn--80ak6aa92e.xn--p1ai"]),
    ],
)
def test_emails(text, emails):
    assert found(find_emails, text) == emails


@pytest.mark.parametrize(
    ("text", "ibans"),
    [
        ("GB82WEST12345698765432", ["GB82WEST12345698765432"]),
        ("IBAN: DE89 3704 0044 0532 0130 00 EUR", ["DE89 3704 0044 0532 0130 00"]),
        ("DE89-3704-0044-0532-0130-00", ["DE89-3704-0044-0532-0130-00"]),
        ("GB83WEST12345698765432", []),  # check digits
        ("DE89370400440532013000X", []),
        ("XDE89370400440532013000", []),
        ("DE8937040044053201300", []),  # a digit short
        ("XX89370400440532013000", []),
        ("de89370400440532013000", []),
    ],
)
def test_ibans(text, ibans):
    assert found(find_ibans, text) == ibans


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        ("4111111111111111", ["4111111111111111"]),
        ("4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("4111-1111-1111-1111 12/27", ["4111-1111-1111-1111"]),
        ("2023 4111 1111 1111 1111 123", ["4111 1111 1111 1111"]),
        ("3782 822463 10005", ["3782 822463 10005"]),
        ("5555555555554444,6011111111111117", ["5555555555554444", "6011111111111117"]),
        ("4111 1111-1111 1111", []),  # mixed separators
        ("4111111111111112", []),  # check digit
        ("9111111111111111", []),  # no network
        ("4222222222222", []),  # 13 digits
        ("0.4111111111111111", []),
        ("41111111111111110", []),
        ("x4111111111111111", []),
    ],
)
def test_cards(text, cards):
    assert found(find_cards, text) == cards


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("81.2.69.142", ["81.2.69.142"]),
        ("http://81.2.69.142:80/ and 81.2.69.0/24.", ["81.2.69.142", "81.2.69.0"]),
        ("2001:41d0:2:a141::1", ["2001:41d0:2:a141::1"]),
        ("[2A00:1450:4001:81b::200e]:443", ["2A00:1450:4001:81b::200e"]),
        ("at 2a00::5: up", ["2a00::5"]),
        ("192.168.0.1 10.20.30.40 127.0.0.1 203.0.113.77 fe80::1 2001:db8::1 ::1", []),  # not public
        ("1.2.3.4", []),  # a version or a heading
        ("11.22.33.44.55", []),
        ("v11.22.33.44", []),
        ("256.22.33.44 81.02.69.142", []),
        ("2023:10:12 a::b std::vector", []),
    ],
)
def test_ip_addresses(text, addresses):
    assert found(find_ip_addresses, text) == addresses


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("+44 20 7946 0958", ["+44 20 7946 0958"]),
        ("tel:+442079460958, fax", ["+442079460958"]),
        ("+1 (415) 555-2671 x819!", ["+1 (415) 555-2671 x819"]),
        ("+1 415 555 2671 2023", ["+1 415 555 2671"]),
        ("+49\u00a030\u2011123456", ["+49\u00a030\u2011123456"]),
        ("é+44 20 7946 0958é", ["+44 20 7946 0958"]),
        ("020 7946 0958", []),
        ("+999 20 7946 0958", []),
        ("1+44207946095", []),
        ("+10 to +20", []),
    ],
)
def test_international_phones(text, phones):
    assert found(international, text) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("020 7946 0958", ["020 7946 0958"]),
        ("(020) 7946 0958 or +1 415 555 2671", ["(020) 7946 0958", "+1 415 555 2671"]),
        ("7946 0958", []),  # no area code
        ("3.2079460958", []),
        ("2023-10-12 10:33 12/10/2023", []),
        ("£2,079,460,958", []),
    ],
)
def test_national_phones_of_a_region(text, phones):
    assert found(british, text) == phones


def test_blank_keeps_positions():
    assert blank(b"abcdef", [(1, 3), (5, 6)]) == b"a\0\0de\0"
    assert blank(b"abc", []) == b"abc"


@given(st.text(alphabet="a1.@-+: ü端A9DE38éx/(", max_size=80))
def test_spans_are_in_order_apart_and_on_character_boundaries(text):
    data = text.encode()
    for search in (find_emails, find_ibans, find_cards, find_ip_addresses, international, british):
        position = 0
        for start, end in search(data):
            assert position <= start < end
            assert data[start:end].decode() in text
            position = end


@pytest.mark.parametrize("unit", ["a@", "a@b.", "1-", "1.", "2001:", "DE89 ", "+1 ", "4111-", "1", "a", "é", "+1+"])
def test_hostile_repeats_of_a_megabyte_hold_nothing_and_end(unit):
    data = (unit * (1_000_000 // len(unit))).encode()
    assert [s for search in (find_emails, find_ibans, find_ip_addresses) for s in search(data)] == []
    assert list(international(data)) == []


def records(name):
    with open(shared_data("text", "pii", f"{name}.jsonl.zst"), "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.shared
def test_every_example_number_is_found_in_its_international_form():
    rows = records("phone_numbers")
    misses = [
        row["id"] for row in rows if found(international, f"call {row['international']}.") != [row["international"]]
    ]
    assert (len(rows), misses) == (522, [])


@pytest.mark.shared
@pytest.mark.slow
def test_most_example_numbers_are_found_in_the_national_form_of_their_region():
    rows = records("phone_numbers")
    hits = sum(
        found(lambda data, row=row: find_phones(data, row["region"]), f"call {row['national']}.") == [row["national"]]
        for row in rows
    )
    assert hits >= 511


@pytest.mark.shared
@pytest.mark.parametrize(
    ("kind", "search", "found_whole", "num_valid"),
    [("CreditCard", find_cards, 15, 15), ("IBAN", find_ibans, 27, 31)],
)
def test_valid_cases_are_found_whole(kind, search, found_whole, num_valid):
    values = [row["value"] for row in records("identifier_cases") if row["kind"] == kind and row["valid"]]
    assert len(values) == num_valid
    assert sum(found(search, value) == [value] for value in values) == found_whole

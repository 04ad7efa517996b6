"""Personal identifiers: what the text becomes, what is counted, and what stays."""

import json

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from filters.base import Documents
from filters.pii import PLACEHOLDERS, Pii
from manifests.errors import RecipeError
from tests.edge_cases import batch, check_filter, columns_of, reasons
from tests.shared import shared_data

ALL = "jo@example.org, DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111, 81.2.69.142, +44 20 7946 0958"
MEASURES = {
    "email": "num_emails",
    "iban": "num_ibans",
    "card": "num_cards",
    "ip": "num_ip_addresses",
    "phone": "num_phones",
}


def edited(rule, *texts):
    return columns_of(rule, batch(list(texts)))[1]


def test_passes_the_edge_cases():
    check_filter(Pii())
    check_filter(Pii(kinds=["email"], phone_region="US"))


def test_each_kind_has_its_placeholder_and_count():
    columns, texts = columns_of(Pii(), batch([ALL]))
    assert texts == ["[EMAIL], [IBAN], [CARD], [IP], [PHONE]"]
    assert {name: values.tolist() for name, values in columns.items()} == {name: [1.0] for name in Pii.measures}


@pytest.mark.parametrize("kind", list(MEASURES))
def test_only_the_named_kinds_are_masked_and_counted(kind):
    columns, (text,) = columns_of(Pii(kinds=[kind]), batch([ALL]))
    assert text.count("[") == text.count(PLACEHOLDERS[kind].decode()) == 1
    assert {name: values.tolist() for name, values in columns.items()} == {
        name: [float(name == MEASURES[kind])] for name in Pii.measures
    }


def test_what_is_not_public_or_has_wrong_check_digits_stays():
    text = "Version 1.2.3.4, host 192.168.0.1, order 4111 1111 1111 1112, icon@2x.png, 2023-10-12 10:33."
    assert edited(Pii(), text) == [text]


def test_texts_around_a_changed_one_stay_as_they_are():
    texts = ["é first", "", "write jo@example.org 😀", "", "last 😀", "a@b.de"]
    assert edited(Pii(), *texts) == ["é first", "", "write [EMAIL] 😀", "", "last 😀", "[EMAIL]"]


def test_overlaps_go_to_the_earlier_kind():
    assert edited(Pii(), "4111111111111111@example.org +4111111111111111") == ["[EMAIL] +4111111111111111"]


def test_masking_twice_changes_nothing_more():
    once = edited(Pii(phone_region="US"), ALL + " (415) 555-2671")
    assert edited(Pii(phone_region="US"), *once) == once


def test_national_numbers_are_masked_for_the_region_only():
    text = "call (415) 555-2671"
    assert edited(Pii(), text) == [text]
    assert edited(Pii(phone_region="US"), text) == ["call [PHONE]"]
    assert edited(Pii(phone_region="GB"), text) == [text]


def test_nulls_count_as_empty_text():
    table = pa.table(
        {"doc_id": ["1", "2"], "url": pa.nulls(2, pa.string()), "text": pa.array([None, "a@b.de"], pa.large_string())}
    )
    text, columns = Pii().edit(Documents(table))
    assert text.to_pylist() == ["", "[EMAIL]"]
    assert columns["num_emails"].tolist() == [0.0, 1.0]


def test_nothing_is_rejected():
    assert reasons(Pii(), [ALL, ""]) == [None, None]
    assert Pii.defects() == ()


@given(
    st.lists(
        st.sampled_from(["jo@example.org", "81.2.69.142", "4111111111111111", "text", "é", "😀", "1.2", "@", "+"]),
        max_size=8,
    )
)
def test_the_text_is_the_old_one_with_placeholders_in_place(words):
    names = {"jo@example.org": "[EMAIL]", "81.2.69.142": "[IP]", "4111111111111111": "[CARD]"}
    assert edited(Pii(), " ".join(words)) == [" ".join(names.get(word, word) for word in words)]


def test_the_order_of_kinds_does_not_matter():
    assert Pii(kinds=["phone", "email"]).measuring() == Pii(kinds=["email", "phone"]).measuring()
    assert Pii(kinds=["phone"]).measuring() != Pii(kinds=["email"]).measuring()
    assert Pii(phone_region="US").measuring() != Pii().measuring()


def test_an_unknown_region_is_an_error_with_the_nearest_one():
    Pii(phone_region="GB").check()
    with pytest.raises(
        RecipeError, match="phone_region = 'gb' is no ISO 3166 country code in capitals; did you mean 'GB'"
    ):
        Pii(phone_region="gb").check()


@pytest.mark.shared
def test_invented_records_are_masked_without_a_false_find():
    kinds = {
        "EMAIL_ADDRESS": "email",
        "CREDIT_CARD": "card",
        "IBAN_CODE": "iban",
        "IP_ADDRESS": "ip",
        "PHONE_NUMBER": "phone",
    }
    with open(shared_data("text", "pii", "presidio_synthetic.jsonl.zst"), "rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().decode().split("\n")
    rows = [json.loads(line) for line in lines if line]
    columns, texts = columns_of(Pii(), batch([row["text"] for row in rows]))
    masked = {kind: int(columns[name].sum()) for kind, name in MEASURES.items()}
    assert masked == {"email": 46, "iban": 24, "card": 218, "ip": 5, "phone": 2}
    gone = dict.fromkeys(MEASURES, 0)
    for row, text in zip(rows, texts, strict=True):
        for span in row["spans"]:
            if span["type"] in kinds and row["text"].count(span["value"]) == 1:
                gone[kinds[span["type"]]] += span["value"] not in text
    assert gone == masked

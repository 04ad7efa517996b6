import json
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.sample import compare
from manifests.errors import InputError
from manifests.schemas import LEDGER

TYPES = {"language.label": pa.string(), "pii.num_emails": pa.float64(), "pii.num_ip_addresses": pa.float64()}


def ledger(*rows: dict[str, object]) -> pa.Table:
    """A ledger of the given rows; what they leave out is null, or the file's name."""
    fields = [*((field.name, field.type) for field in LEDGER), *TYPES.items()]
    filled = [{"file": "a.warc.gz", "stage": None, **row} for row in rows]
    return pa.table({name: pa.array([row.get(name) for row in filled], kind) for name, kind in fields})


def truth(folder: Path, *rows: dict[str, object]) -> str:
    path = folder / "truth.jsonl"
    lines = [json.dumps({"file": "warc/a.warc.gz", "language": "en", **row}) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_copy_is_found_if_it_or_its_original_is_a_duplicate(tmp_path: Path) -> None:
    planted = truth(
        tmp_path,
        {"url": "u1", "kind": "exact_copy", "of": "o1"},
        {"url": "u2", "kind": "exact_copy", "of": "o2"},
        {"url": "u3", "kind": "exact_copy", "of": "o3"},
    )
    found = ledger(
        {"url": "u1", "fate": "duplicate"},
        {"url": "o1", "fate": "kept"},
        {"url": "u2", "fate": "kept"},
        {"url": "o2", "fate": "duplicate"},
        {"url": "u3", "fate": "kept"},
        {"url": "o3", "fate": "kept"},
    )
    assert compare(planted, found)[0] == ("exact_copy", 3, 2)


def test_near_copies_are_split_by_their_exact_jaccard(tmp_path: Path) -> None:
    planted = truth(
        tmp_path,
        {"url": "u1", "kind": "near_copy", "of": "o1", "jaccard": 0.7},
        {"url": "u2", "kind": "near_copy", "of": "o2", "jaccard": 0.69},
    )
    found = ledger({"url": "u1", "fate": "duplicate"}, {"url": "u2", "fate": "kept"})
    assert compare(planted, found)[:2] == [("near_copy, Jaccard >= 0.7", 1, 1), ("near_copy, Jaccard < 0.7", 1, 0)]


def test_the_reason_decides_for_abuse_blocked_hosts_and_missing_pages(tmp_path: Path) -> None:
    planted = truth(
        tmp_path,
        {"url": "t1", "kind": "toxic"},
        {"url": "t2", "kind": "toxic"},
        {"url": "b1", "kind": "blocked"},
        {"url": "n1", "kind": "not_found"},
    )
    found = ledger(
        {"url": "t1", "fate": "dropped", "stage": "toxicity", "reason": "toxicity.abusive_words"},
        {"url": "t2", "fate": "dropped", "stage": "fineweb", "reason": "fineweb.list"},
        {"url": "b1", "fate": "dropped", "stage": "url", "reason": "url.blocked_domain"},
        {"url": "n1", "fate": "dropped", "stage": "read", "reason": "read.http_status"},
    )
    assert compare(planted, found) == [("toxic", 2, 1), ("blocked", 1, 1), ("not_found", 1, 1)]


def test_request_and_metadata_rows_do_not_hide_the_page(tmp_path: Path) -> None:
    planted = truth(tmp_path, {"url": "u", "kind": "article"})
    side = {"url": "u", "fate": "dropped", "stage": "read", "reason": "read.record_type"}
    found = ledger(side, {"url": "u", "fate": "kept", "language.label": "en"}, side)
    assert compare(planted, found) == [("article", 1, 1), ("language named", 1, 1)]


def test_a_twin_that_was_merged_is_not_found(tmp_path: Path) -> None:
    planted = truth(tmp_path, {"url": "a", "kind": "template_twin"}, {"url": "b", "kind": "template_twin"})
    found = ledger({"url": "a", "fate": "kept"}, {"url": "b", "fate": "duplicate"})
    assert compare(planted, found)[0] == ("template_twin", 2, 1)


def test_pages_in_an_unwanted_language_are_judged_by_their_language_alone(tmp_path: Path) -> None:
    planted = truth(
        tmp_path, {"url": "j", "kind": "article", "language": "ja"}, {"url": "e", "kind": "article", "language": "en"}
    )
    unwanted = {"fate": "dropped", "stage": "language", "reason": "language.unwanted"}
    found = ledger(
        {"url": "j", "language.label": "ja", **unwanted},
        {"url": "e", "language.label": "fr", **unwanted},
    )
    assert compare(planted, found) == [("article", 1, 0), ("language named", 2, 1)]


def test_broken_records_are_counted_by_file_since_their_rows_may_have_no_address(tmp_path: Path) -> None:
    planted = truth(
        tmp_path, {"url": "x", "kind": "broken"}, {"url": "y", "kind": "broken"}, {"url": "z", "kind": "broken"}
    )
    found = ledger(
        {"url": None, "fate": "failed", "stage": "read", "reason": "read.broken"},
        {"url": "y", "fate": "failed", "stage": "read", "reason": "read.truncated"},
        {"url": None, "fate": "failed", "file": "other.warc.gz"},
    )
    assert compare(planted, found) == [("broken", 3, 2)]


def test_personal_data_is_counted_page_by_page(tmp_path: Path) -> None:
    none = {"phones": 0, "ibans": 0, "cards": 0}
    planted = truth(
        tmp_path,
        {"url": "p", "kind": "pii", "counts": {"emails": 2, "ip_addresses": 0, **none}},
        {"url": "q", "kind": "pii", "counts": {"emails": 1, "ip_addresses": 1, **none}},
    )
    found = ledger(
        {"url": "p", "fate": "kept", "language.label": "en", "pii.num_emails": 1.0, "pii.num_ip_addresses": 5.0},
        {"url": "q", "fate": "kept", "language.label": "en", "pii.num_emails": 9.0, "pii.num_ip_addresses": 1.0},
    )
    assert compare(planted, found) == [("language named", 2, 2), ("pii emails", 3, 2), ("pii ip_addresses", 1, 1)]


def test_a_missing_truth_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"truth\.jsonl: is missing"):
        compare(str(tmp_path / "truth.jsonl"), ledger())

"""What the report says of dedup: what it left of each source and domain, and what lies in the large components."""

import random

import pytest

from corpus.report import render
from tests.corpus.report_corpora import HOSTILE, PWNED, report_of
from tests.corpus.synthetic import row, write_unit


def keeper(position, size, **values):
    return row(position, component_size=size, num_tokens=5, **values)


def loser(position, of, size, kind="near", **values):
    values |= {"duplicate_of": of, "duplicate_kind": kind, "jaccard": 0.8, "component_size": size}
    return row(position, fate="duplicate", reason=f"dedup.{kind}", **values)


@pytest.fixture
def components(tmp_path):
    """Components of 5, 4 and 2 documents and one of 3 whose keeper is in an older corpus; two units, two sources."""
    big, middle = keeper(1, 5, url="https://www.a.co.uk/1"), keeper(2, 4, source="other")
    small, old = keeper(3, 2), "0" * 32
    first = [
        *(loser(position, big["doc_id"], 5, "exact", url="https://b.a.co.uk/") for position in (10, 11)),
        big,
        loser(12, small["doc_id"], 2, url="https://c.org/"),
        row(13, fate="dropped", reason="language.low_score", url="https://c.org/2"),
    ]
    second = [
        *(loser(position, big["doc_id"], 5, "near", source="other") for position in (20, 21)),
        middle,
        *(loser(position, middle["doc_id"], 4) for position in (22, 23, 24)),
        small,
        *(loser(position, old, 3, "url", source="other") for position in (25, 26)),
        row(27, num_tokens=5, url="https://d.org/"),
    ]
    for unit_id, rows in (("u1", first), ("u2", second)):
        texts = [f"Text of {found['offset']}. " + "Words of a page. " * 20 for found in rows]
        write_unit(tmp_path, unit_id, rows, texts, {})
    return tmp_path, big["doc_id"], middle["doc_id"], old


def test_what_dedup_left_is_told_by_source_and_by_registered_domain(components):
    retention = report_of(components[0])["retention"]
    assert retention["sources"] == [
        {"name": "crawl", "num_reached": 9, "num_lost": 6, "kept_ratio": 0.333333},
        {"name": "other", "num_reached": 5, "num_lost": 4, "kept_ratio": 0.2},
    ]
    assert retention["domains"] == [
        {"name": "a.co.uk", "num_reached": 3, "num_lost": 2, "kept_ratio": 0.333333},
        {"name": "c.org", "num_reached": 1, "num_lost": 1, "kept_ratio": 0.0},
    ]


def test_twenty_domains_that_lost_most_are_told(tmp_path):
    rows = [
        loser(100 * site + number, "0" * 32, 2, url=f"https://site{site:02}.org/{number}")
        for site in range(1, 26)
        for number in range(site)
    ]
    write_unit(tmp_path, "u1", rows, ["text"] * len(rows), {})
    domains = report_of(tmp_path)["retention"]["domains"]
    assert [(found["name"], found["num_lost"]) for found in domains] == [
        (f"site{site:02}.org", site) for site in range(25, 5, -1)
    ]


def test_large_components_are_told_with_kinds_and_sources_the_largest_first(components):
    out, big, middle, old = components
    found = report_of(out)["large_components"]  # of at least 3 documents
    assert [(item["keeper"], item["num_documents"], item["kinds"], item["sources"]) for item in found] == [
        (big, 5, {"exact": 2, "keeper": 1, "near": 2}, {"crawl": 3, "other": 2}),
        (middle, 4, {"keeper": 1, "near": 3}, {"crawl": 3, "other": 1}),
        (old, 3, {"url": 2}, {"other": 2}),
    ]


def test_samples_are_the_keeper_and_two_others_or_two_where_the_keeper_is_in_an_older_corpus(components):
    out, big, middle, old = components
    found = report_of(out)["large_components"]
    assert [len(item["documents"]) for item in found] == [3, 3, 2]
    assert [item["documents"][0]["doc_id"] for item in found[:2]] == [big, middle]
    assert [item["documents"][0]["duplicate_of"] for item in found] == [None, None, old]
    texts = [document["text"] for document in found[0]["documents"]]
    assert texts[0] == ("Text of 1. " + "Words of a page. " * 20)[:200]
    assert all(document["cut"] for document in found[0]["documents"])
    assert {document["duplicate_of"] for document in found[0]["documents"][1:]} == {big}
    assert report_of(out)["large_components"] == found


def test_at_most_twenty_components_are_told(tmp_path):
    rows = []
    sizes = list(range(3, 28))
    random.Random(3).shuffle(sizes)
    for size in sizes:
        kept = keeper(1000 * size, size)
        rows += [kept, *(loser(1000 * size + number, kept["doc_id"], size) for number in range(1, size))]
    write_unit(tmp_path, "u1", rows, ["text"] * len(rows), {})
    found = report_of(tmp_path)["large_components"]
    assert [item["num_documents"] for item in found] == list(range(27, 7, -1))
    assert all(sum(item["kinds"].values()) == item["num_documents"] for item in found)


def test_the_page_shows_both_and_no_text_of_a_component_runs(tmp_path):
    kept = keeper(1, 3, url=f"https://{HOSTILE}/")
    rows = [kept, *(loser(number, kept["doc_id"], 3, url=f"https://{HOSTILE}/") for number in (2, 3))]
    write_unit(tmp_path, "u1", rows, [HOSTILE] * 3, {})
    page = render(report_of(tmp_path))
    section = page[page.index('<section id="duplicates">') : page.index('<section id="domains">')]
    assert "<summary>3 documents <span>kept: " + kept["doc_id"] in section
    assert '<p class="note">keeper 1, near 2; crawl 3</p>' in section
    assert '<td>crawl</td><td class="n">3</td><td class="n">2</td><td class="n">33.3%</td>' in section
    assert section.count('<article class="sample">') == 3
    assert "&lt;/script&gt;" in section
    assert PWNED not in page
    assert "<script>" not in section


def test_a_corpus_without_duplicates_has_no_section_for_them(tmp_path):
    write_unit(tmp_path, "u1", [row(1, num_tokens=5)], ["text"], {})
    report = report_of(tmp_path)
    assert (report["retention"], report["large_components"]) == ({"sources": [], "domains": []}, [])
    assert "duplicates" not in "".join(
        line for line in render(report).splitlines() if "section" in line or "href" in line
    )

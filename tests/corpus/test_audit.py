"""The audit counts who is dropped, by slice, and gates turn a bad ratio into an error."""

import pytest
from scipy.stats import binomtest

from corpus.audit import audit, check_gates, verdicts, wilson
from corpus.recipe import Audit, Gate
from manifests import shards
from manifests.errors import GateFailed, InputError, RecipeError
from tests.corpus.synthetic import RULES, row, write_ledger

EN, DE = {"language.label": "en"}, {"language.label": "de"}


def ratios(found, name, rule):
    """value -> (num_dropped, num_reached) of a slice and rule."""
    return {
        row["value"]: (row["num_dropped"], row["num_reached"])
        for row in found["rows"]
        if (row["slice"], row["rule"]) == (name, rule)
    }


def dropped(position, reason, **values):
    return row(position, fate="dropped", reason=reason, **values)


@pytest.fixture
def ten(tmp_path):
    """Ten records: 1 failed, 1 without text, 2 unwanted, 2 too short (of 6), 1 duplicate, 3 kept."""
    rows = [
        row(0, fate="failed", stage="read", reason="read.failed", error="broken"),
        dropped(1, "extract.no_text"),
        dropped(2, "language.unwanted", url="http://a.de/", **DE),
        dropped(3, "language.unwanted", url="http://b.de:80/x", **DE),
        dropped(4, "gopher_quality.too_few_words", url="https://user@C.ORG./", **EN),
        dropped(5, "gopher_quality.too_few_words", url="http://10.0.0.1/", **EN),
        row(6, fate="duplicate", reason="dedup.near", **EN),
        row(7, url="https://www.c.org?x", **EN),
        row(8, url="http://[::1]/", **EN),
        row(9, source="books", **EN),
    ]
    write_ledger(tmp_path / "ledger" / "a.parquet", rows[:6])
    write_ledger(tmp_path / "ledger" / "b.parquet", rows[6:])
    return str(tmp_path)


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (17, 200), (999_999, 1_000_000)]
)
def test_wilson_intervals_equal_those_of_scipy(count, total):
    expected = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_an_empty_share_may_be_anything():
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_rule_is_judged_by_the_documents_that_reached_it(ten):
    found = audit(ten, Audit(), RULES)
    assert found["num_documents"] == 8  # neither the failed record nor the one without text
    assert ratios(found, "all", "*") == {"all": (5, 8)}
    assert ratios(found, "all", "language") == {"all": (2, 8)}
    assert ratios(found, "all", "gopher_quality") == {"all": (2, 6)}
    assert ratios(found, "all", "gopher_quality.too_few_words") == {"all": (2, 6)}
    assert ratios(found, "all", "dedup") == {"all": (1, 4)}


def test_documents_are_sliced_by_language_source_and_domain(ten):
    found = audit(ten, Audit(gate=[Gate(slice="tld", max_drop_ratio=1.0, min_documents=1)]), RULES)
    assert ratios(found, "language", "*") == {"de": (2, 2), "en": (3, 6)}
    assert ratios(found, "source", "*") == {"books": (0, 1), "crawl": (5, 7)}
    assert ratios(found, "tld", "*") == {"(address)": (1, 2), "(none)": (1, 2), "de": (2, 2), "org": (1, 2)}


def test_small_top_level_domains_are_pooled(ten):
    assert ratios(audit(ten, Audit(), RULES), "tld", "*") == {"(other)": (5, 8)}


def test_a_document_is_in_every_group_that_it_mentions(tmp_path):
    none = dict.fromkeys(("ethnicity", "religion", "nationality", "age", "disability"), 0.0)
    measured = {f"mentions.{group}": count for group, count in none.items()}
    rows = [
        row(0, **measured, **{"mentions.gender": 2.0, "mentions.orientation": 1.0}),
        dropped(1, "toxicity.hateful", **measured, **{"mentions.gender": 0.0, "mentions.orientation": 1.0}),
        row(2, **measured, **{"mentions.gender": 0.0, "mentions.orientation": 0.0}),
        row(3),  # not measured: in no group, and not in "none" either
    ]
    write_ledger(tmp_path / "ledger" / "a.parquet", rows)
    found = audit(str(tmp_path), Audit(), RULES)
    assert ratios(found, "identity", "toxicity") == {"gender": (0, 1), "none": (0, 1), "orientation": (1, 2)}


def test_toxicity_is_a_drop_for_toxicity_or_a_high_score(tmp_path):
    rows = [
        dropped(0, "toxicity.hateful"),
        row(1, **{"toxicity.score": 0.5}),
        row(2, **{"toxicity.score": 0.49}),
        dropped(3, "gopher_quality.too_few_words", **{"toxicity.score": 0.9}),
    ]
    write_ledger(tmp_path / "ledger" / "a.parquet", rows)
    found = audit(str(tmp_path), Audit(toxic_min_score=0.5), RULES)
    assert [(part["slice"], part["num_toxic"], part["num_documents"]) for part in found["toxicity"]] == [("all", 3, 4)]
    assert found["toxicity"][0]["toxic_ratio"] == 0.75


def test_the_result_does_not_depend_on_how_rows_are_spread_over_files(ten, tmp_path):
    parts = [shards.read_table(shards.join(ten, "ledger", name)) for name in ("b.parquet", "a.parquet")]
    joined = tmp_path / "joined" / "ledger" / "c.parquet"
    with shards.TableWriter(str(joined), parts[0].schema, cut_each_write=True) as writer:
        for part in parts:
            writer.write(part)
    assert audit(str(tmp_path / "joined"), Audit(), RULES) == audit(ten, Audit(), RULES)


def test_a_corpus_on_any_file_system_is_audited(ten):
    for name in ("a.parquet", "b.parquet"):
        table = shards.read_table(shards.join(ten, "ledger", name))
        shards.write_table(f"memory://audited/ledger/{name}", table)
    assert audit("memory://audited", Audit(), RULES) == audit(ten, Audit(), RULES)


def test_an_empty_ledger_gives_an_empty_audit(tmp_path):
    write_ledger(tmp_path / "ledger" / "a.parquet", [])
    found = audit(str(tmp_path), Audit(), RULES)
    assert (found["num_documents"], found["rows"]) == (0, [])
    check_gates(found, [Gate(slice="all", max_drop_ratio=0.0)])


def test_a_folder_without_a_ledger_is_an_error(tmp_path):
    with pytest.raises(InputError, match="there is no ledger"):
        audit(str(tmp_path), Audit(), RULES)


def test_a_gate_names_what_was_dropped_where_and_how_much(ten):
    found = audit(ten, Audit(), RULES)
    gate = Gate(slice="language", rule="language", max_drop_ratio=0.5, min_documents=2)
    with pytest.raises(GateFailed) as caught:
        check_gates(found, [gate])
    assert str(caught.value).startswith(
        "audit: language drops 100.0% of language 'de' (2 of 2 that reached it, 95 % interval 34.2% to 100.0%), "
        "the gate allows 50.0%. Change the rule's thresholds"
    )


def test_a_gate_holds_at_its_limit_and_ignores_slices_that_are_too_small(ten):
    found = audit(ten, Audit(), RULES)
    check_gates(found, [Gate(slice="all", rule="language", max_drop_ratio=0.25, min_documents=8)])
    check_gates(found, [Gate(slice="all", rule="language", max_drop_ratio=0.0, min_documents=9)])


def test_the_verdict_on_each_gate_is_told(ten):
    found = audit(ten, Audit(), RULES)
    gates = [Gate(slice="all", rule="language", max_drop_ratio=ratio, min_documents=8) for ratio in (0.25, 0.2)]
    told = verdicts(found, gates)
    assert [verdict["met"] for verdict in told] == [True, False]
    assert told[0]["text"] == "language may drop at most 25.0% by all"
    assert "language drops 25.0% of all documents (2 of 8" in told[1]["text"]


def test_a_gate_on_a_reason_or_on_all_rules_together(ten):
    found = audit(ten, Audit(), RULES)
    with pytest.raises(GateFailed, match=r"gopher_quality\.too_few_words drops 33\.3% of all documents \(2 of 6"):
        check_gates(
            found, [Gate(slice="all", rule="gopher_quality.too_few_words", max_drop_ratio=0.3, min_documents=1)]
        )
    with pytest.raises(GateFailed, match=r"all rules together drop 62\.5% of all documents"):
        check_gates(found, [Gate(slice="all", max_drop_ratio=0.6, min_documents=1)])


def test_a_gate_on_an_unknown_rule_is_an_error_since_it_could_never_fail(ten):
    with pytest.raises(RecipeError, match="rule 'gopher' drops nothing in this recipe"):
        check_gates(audit(ten, Audit(), RULES), [Gate(slice="all", rule="gopher", max_drop_ratio=0.1)])

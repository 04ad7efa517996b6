import json

import polars as pl

from cluster.explaining import explain_document
from cluster.show import console, explained, manifest, report
from manifests import ledger
from manifests.manifest import read_manifest
from tests.corpus.test_increments import one_by_one  # noqa: F401


def test_the_older_corpus_that_has_a_document_is_told(one_by_one, capsys):  # noqa: F811
    out = str(one_by_one / "1")
    row = ledger.scan(out).filter(pl.col("duplicate_in").is_not_null()).collect().row(0, named=True)
    explained(console(), explain_document(out, row["doc_id"]))
    told = " ".join(capsys.readouterr().out.split())
    assert f"keeper {row['duplicate_of']} in the older corpus {row['duplicate_in']}" in told


def test_what_was_lost_to_older_corpora_is_told_at_the_end_and_in_the_report(one_by_one, capsys):  # noqa: F811
    out = one_by_one / "2"
    made = read_manifest(str(out))
    rows = ledger.scan(str(out)).filter(pl.col("duplicate_in").is_not_null()).collect()["duplicate_in"].to_list()
    lost = {name: rows.count(name) for name in sorted(set(rows))}
    assert len(lost) == 2
    assert made.counts["duplicate_in"] == lost
    manifest(console(), str(out), made)
    by_corpus = ", ".join(f"{name} {number}" for name, number in lost.items())
    assert f"{len(rows)} documents lost to older corpora: {by_corpus}\n" in capsys.readouterr().out
    report(console(), str(out), json.loads((out / "report.json").read_text("utf-8")))
    told = " ".join(capsys.readouterr().out.split())
    page = (out / "report.html").read_text("utf-8")
    for name, number in lost.items():
        assert f"{name} {number}" in told
        assert f'<tr><td>{name}</td><td class="n">{number}</td></tr>' in page


def test_nothing_is_said_of_older_corpora_where_there_are_none(one_by_one, capsys):  # noqa: F811
    out = one_by_one / "0"
    manifest(console(), str(out), read_manifest(str(out)))
    report(console(), str(out), json.loads((out / "report.json").read_text("utf-8")))
    assert "older" not in capsys.readouterr().out
    assert "older corp" not in (out / "report.html").read_text("utf-8").lower()

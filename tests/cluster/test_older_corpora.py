import polars as pl

from cluster.explaining import explain_document
from cluster.show import console, explained
from manifests import ledger
from tests.corpus.test_increments import one_by_one  # noqa: F401


def test_the_older_corpus_that_has_a_document_is_told(one_by_one, capsys):  # noqa: F811
    out = str(one_by_one / "1")
    row = ledger.scan(out).filter(pl.col("duplicate_in").is_not_null()).collect().row(0, named=True)
    explained(console(), explain_document(out, row["doc_id"]))
    told = " ".join(capsys.readouterr().out.split())
    assert f"keeper {row['duplicate_of']} in the older corpus {row['duplicate_in']}" in told

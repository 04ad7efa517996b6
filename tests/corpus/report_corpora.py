"""What tests of the report share: the facts of a build, and strings that attack a page."""

from corpus.audit import audit
from corpus.recipe import Audit
from corpus.report import build_report
from tests.corpus.synthetic import BOUNDS, RULES

PWNED = "document.documentElement.dataset.pwned='yes'"
HOSTILE = f'</script><script>{PWNED}</script><img src=x onerror="{PWNED}">{{{{7*7}}}} \u2028\u2029 <!-- $x$ </pre>'
WORDS, SCORE = "gopher_quality.num_words", "language.score"
ITEM, ITEM_FILE = "decontaminate.item", "decontaminate.item_file"


def facts_of(out, seconds=1.0):
    return {
        "name": "demo",
        "recipe": {"name": "demo"},
        "counts": {"duplicate_in": {}},
        "audit": audit(str(out), Audit(), RULES),
        "tokens": {
            "num_tokens": 1234567,
            "num_rows": 1300,
            "num_validation_rows": 100,
            "efficiency": 0.99,
            "vocab_size": 8000,
        },
        "sources": [
            {"name": "crawl", "format": "warc", "licence": "unknown", "num_units": 1, "num_records": 9, "bytes": 10**6}
        ],
        "versions": {"polars": "2.1.0"},
        "item_files": ["first.jsonl", f"{HOSTILE}.jsonl"],
        "report_component_size": 3,
        "stages": [{"name": "score", "seconds": seconds}],
    }


def report_of(out, **values):
    return build_report(str(out), facts_of(out, **values), BOUNDS)

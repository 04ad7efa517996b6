import importlib
from typing import Any

import pyarrow as pa
import pytest

from corpus.extract import DEFECTS, extract, extractor_of
from manifests.errors import RecipeError

PARAGRAPH = "The mill stands by the river and has ground corn for three hundred years. "
PAGE = (
    "<html><head><title>T</title><script>var x = 1;</script></head><body><nav><a href=/>Home</a> <a href=/a>About</a>"
    f"</nav><article><h1>The mill</h1><p>{PARAGRAPH * 4}</p><p>{PARAGRAPH * 4}</p></article>"
    "<footer>Imprint</footer></body></html>"
)


def _extracted(htmls: list[str], method: str = "resiliparse", reasons: list[str | None] | None = None) -> list[Any]:
    table = pa.table(
        {
            "doc_id": pa.array([str(number) for number in range(len(htmls))], pa.string()),
            "text": pa.array(htmls, pa.large_string()),
            "reason": pa.array(reasons or [None] * len(htmls), pa.string()),
            "error": pa.nulls(len(htmls), pa.string()),
        }
    )
    result = extract(table, method)
    assert result.schema == table.schema
    assert result["doc_id"].to_pylist() == table["doc_id"].to_pylist()
    assert table["text"].to_pylist() == htmls
    return [(row["text"], row["reason"], row["error"]) for row in result.to_pylist()]


def test_main_text_is_kept_and_page_furniture_is_not() -> None:
    ((text, reason, error),) = _extracted([PAGE])
    assert (reason, error) == (None, None)
    assert text.count(PARAGRAPH.strip()) == 8
    assert "The mill" in text.split("\n")[0]
    assert not any(word in text for word in ("Home", "Imprint", "var x"))


def test_a_page_without_main_content_gives_all_its_text() -> None:
    ((text, reason, _),) = _extracted(["<html><body><nav>One</nav><footer>Two</footer></body></html>"])
    assert (text.split(), reason) == (["One", "Two"], None)


def test_posts_inside_noscript_are_text() -> None:
    ((text, _, _),) = _extracted([f"<html><body><noscript><p>{PARAGRAPH * 6}</p></noscript></body></html>"])
    assert PARAGRAPH.strip() in text


def test_pages_without_text_and_rows_with_a_reason() -> None:
    rows = _extracted(["<html><script>x</script></html>", "", PAGE], reasons=[None, "read.empty", None])
    assert [reason for _, reason, _ in rows] == ["extract.no_text", "read.empty", None]
    assert [text for text, _, _ in rows][:2] == ["", ""]


@pytest.mark.parametrize("tag", ["div", "b", "ul", "table", "a", "font", "blockquote"])
def test_hostile_nesting_is_a_failed_row_and_the_next_page_is_read(tag: str) -> None:
    rows = _extracted([f"<{tag}>" * 100_000 + "x" + f"</{tag}>" * 100_000, PAGE])
    assert [reason for _, reason, _ in rows] == ["extract.nesting", None]
    assert rows[0][2].startswith("tags nest 100000 deep (at most 4096)")


def test_a_tag_with_very_many_attributes_is_a_failed_row() -> None:
    ((_, reason, error),) = _extracted(["<div " + " ".join(f"a{n}=1" for n in range(20_001)) + ">x</div>"])
    assert (reason, "a tag has 20001 attributes" in error) == ("extract.nesting", True)


def test_flat_elements_may_be_many() -> None:
    ((text, reason, _),) = _extracted(["<p>word" * 20_000])
    assert (reason, len(text.split())) == (None, 20_000)


def test_zero_rows_give_zero_rows() -> None:
    assert _extracted([]) == []


def test_broken_html_never_raises() -> None:
    pieces = ["<div", "</p>", "<!--", "&#xD800;", "\x00", "<title>", "<svg><p>", "<table><b>", "<![CDATA[", "'\">", "é"]
    pages = [a + b + c for a in pieces for b in pieces for c in pieces]
    rows = _extracted(pages)
    assert {reason for _, reason, _ in rows} <= {None, "extract.no_text", "extract.failed"}
    assert len(rows) == len(pieces) ** 3


def test_trafilatura_extracts_the_same_article() -> None:
    pytest.importorskip("trafilatura", exc_type=ImportError)
    ((text, reason, _), (empty, empty_reason, _)) = _extracted([PAGE, "<html></html>"], "trafilatura")
    assert (PARAGRAPH.strip() in text, reason, "Imprint" in text) == (True, None, False)
    assert (empty, empty_reason) == ("", "extract.no_text")


def test_a_missing_extractor_is_a_recipe_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    extractor_of.cache_clear()
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RecipeError, match=r"pip install 'gristmill\[trafilatura\]'"):
        extractor_of("trafilatura")


def test_defects_are_named_after_the_stage() -> None:
    assert all(name.startswith("extract.") for name in DEFECTS)

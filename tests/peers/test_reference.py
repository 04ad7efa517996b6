"""The presets gopher, c4 and dclm on every document of the shared web and prose data, against the slow twins' answers.

The answers are stored: `make_reference_fixture.py` takes minutes to make them again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import xxhash

from corpus.recipe import Recipe
from corpus.recipe_file import read_recipe
from filters.base import Documents, Edit, Filter
from filters.refinedweb import RefinedWeb
from filters.refinedweb_urls import RefinedWebUrls
from tests.edge_cases import batch, columns_of, scores_of
from tests.peers.documents import documents
from tests.peers.make_reference_fixture import FIXTURE, bad_words
from tests.shared import shared_data

pytestmark = [pytest.mark.shared, pytest.mark.slow]

# DCLM's steps and the reasons that stand for them here. A page that is empty without its URLs is dropped at once there.
STEPS = {
    "url_removal_modifier": ("gopher_quality.too_few_words",),
    "page_length_filter": ("gopher_quality.too_few_words", "gopher_quality.too_many_words"),
    "word_length_filter": ("gopher_quality.words_too_short", "gopher_quality.words_too_long"),
    "symbol_ratio_filter": ("gopher_quality.too_many_symbols",),
    "bullet_count_filter": ("gopher_quality.too_many_bullet_lines",),
    "ellipsis_count_filter": ("gopher_quality.too_many_ellipsis_lines",),
    "alphabetic_word_ratio_filter": ("gopher_quality.too_few_alphabetic_words",),
    "stop_word_filter": ("gopher_quality.too_few_stop_words",),
    "line modifiers": ("refinedweb.no_lines_left",),
    "word_removal_ratio_filter": ("refinedweb.too_many_words_removed",),
}
REPETITION = "massive_web_repetition_filters"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    shared_data("web", "wet")
    return [text for _, shard in documents() for _, text in shard]


@pytest.fixture(scope="module")
def answers(texts: list[str]) -> pa.Table:
    table = pq.read_table(FIXTURE)
    assert table["text"].to_pylist() == [_digest(text) for text in texts], "the shared data are not the fixture's"
    return table


def _digest(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


def _recipe(tmp_path: Path, preset: str, more: str = "") -> Recipe:
    recipe = tmp_path / "recipe.toml"
    source = '[[source]]\nname = "a"\nformat = "text"\npaths = ["a.txt"]\n'
    recipe.write_text(f'name = "a"\npreset = "{preset}"\n{source}{more}', "utf-8")
    return read_recipe(str(recipe))


def _batches(texts: list[str]) -> Iterator[pa.Table]:
    for start in range(0, len(texts), 500):
        yield batch(texts[start : start + 500])


def _cascade(filters: list[Filter], texts: list[str]) -> tuple[list[str | None], list[int]]:
    """The first reason for each text, and the digest of what the edits leave of it."""
    reasons: list[str | None] = []
    digests: list[int] = []
    for table in _batches(texts):
        documents_of = Documents(table)
        first = pa.nulls(table.num_rows, pa.string())
        for rule in filters:
            if isinstance(rule, Edit):
                text, columns = rule.edit(documents_of)
                documents_of = documents_of.with_text(text)
            else:
                columns = rule.score(documents_of)
            first = pc.coalesce(first, rule.reject(scores_of(rule, columns)))
        reasons += first.to_pylist()
        digests += [_digest(text) for text in documents_of.table["text"].to_pylist()]
    return reasons, digests


def _kept_digests(reasons: list[str | None], digests: list[int]) -> list[int | None]:
    return [digest if reason is None else None for reason, digest in zip(reasons, digests, strict=True)]


def test_gopher_drops_every_document_for_the_reason_of_the_twin(
    texts: list[str], answers: pa.Table, tmp_path: Path
) -> None:
    reasons, _ = _cascade(_recipe(tmp_path, "gopher").filter, texts)
    assert reasons == answers["gopher"].to_pylist()
    assert len(set(reasons)) > 10


@pytest.mark.usefixtures("punkt_data")
@pytest.mark.parametrize(("column", "more"), [("c4", ""), ("c4_punkt", 'sentences = "punkt"\n')])
def test_c4_drops_every_document_for_the_reason_of_the_twin_and_leaves_its_text(
    texts: list[str], answers: pa.Table, tmp_path: Path, column: str, more: str
) -> None:
    (tmp_path / "en.txt").write_text("\n".join(bad_words()), "utf-8")
    filters = _recipe(tmp_path, "c4", f'[[filter]]\nrule = "c4"\nbad_words = "en.txt"\n{more}').filter
    reasons, digests = _cascade(filters, texts)
    assert [reason and reason.removeprefix("c4.") for reason in reasons] == answers[column].to_pylist()
    if column == "c4":
        assert _kept_digests(reasons, digests) == answers["c4_text"].to_pylist()
    assert len(set(reasons)) > 4


def test_c4_asks_for_a_language_of_which_the_model_can_be_sure(texts: list[str], tmp_path: Path) -> None:
    language = _recipe(tmp_path, "c4").language
    num_english = num_kept = 0
    for table in _batches(texts):
        scores = scores_of(language, language.score(Documents(table)))
        num_english += pc.sum(pc.equal(scores["language.label"], "en")).as_py()
        num_kept += language.reject(scores).null_count
    assert (num_english, num_kept) == (7639, 7138)  # at 0.99 it would be 549


def test_dclm_drops_every_document_at_the_step_of_the_twin_and_leaves_its_text(
    texts: list[str], answers: pa.Table, tmp_path: Path
) -> None:
    reasons, digests = _cascade(_recipe(tmp_path, "dclm").filter, texts)
    steps = answers["dclm"].to_pylist()
    wrong = [(step, reason) for step, reason in zip(steps, reasons, strict=True) if not _agree(step, reason)]
    assert wrong == []
    assert _kept_digests(reasons, digests) == answers["dclm_text"].to_pylist()
    assert len(set(steps)) > 8


def _agree(step: str | None, reason: str | None) -> bool:
    if step is None or reason is None:
        return step == reason
    return reason.startswith("gopher_repetition.") if step == REPETITION else reason in STEPS[step]


@pytest.mark.parametrize(
    ("rule", "column"),
    [(RefinedWebUrls(semantics="dclm"), "urls_text"), (RefinedWeb(semantics="dclm"), "lines_text")],
)
def test_each_edit_of_refinedweb_leaves_the_text_of_the_twin(
    texts: list[str], answers: pa.Table, rule: Edit, column: str
) -> None:
    edited = [_digest(text) for table in _batches(texts) for text in columns_of(rule, table)[1] or []]
    assert edited == answers[column].to_pylist()


def test_the_list_of_bad_words_holds_no_sign_of_regular_expressions() -> None:
    # So that the reference, which reads entries as regular expressions, and we, who read them as text, agree.
    assert set("".join(bad_words())).isdisjoint(r".^$*+?{}[]\|()")
    assert json.dumps(bad_words()) == json.dumps([word.strip().lower() for word in bad_words()])

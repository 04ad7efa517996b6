"""The presets datatrove@0.10 and fineweb@2024-04 against datatrove 0.10.1 and 0.2.0, document by document."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from corpus.recipe_file import make_recipe, parse_toml
from filters import nltk_words
from filters.base import Columns, Documents, Edit, Filter
from filters.kernels.punkt import find_sentences
from filters.punkt import load_english
from tests.edge_cases import batch, scores_of
from tests.peers.documents import documents
from tests.shared import shared_data
from tests.words import buffers, found_words

FIXTURES = Path(__file__).parent / "fixtures"
RECIPES = Path(__file__).parents[2] / "corpus" / "recipes"
SOURCE = {"name": "peers", "format": "text", "paths": ["none"]}

# datatrove's reasons and ours.
REASONS = {
    "language": {"language.unwanted", "language.low_score"},
    "division_by_zero": {"gopher_repetition.empty"},  # datatrove 0.2.0 fails on an empty text
    "empty": {"gopher_repetition.empty", "fineweb.empty"},
    "dup_para_frac": {"gopher_repetition.duplicate_paragraphs"},
    "dup_para_char_frac": {"gopher_repetition.duplicate_paragraph_chars"},
    "dup_line_frac": {"gopher_repetition.duplicate_lines"},
    "dup_line_char_frac": {"gopher_repetition.duplicate_line_chars"},
    **{f"top_{size}_gram": {f"gopher_repetition.top_{size}_gram"} for size in (2, 3, 4)},
    **{f"duplicated_{size}_n_grams": {f"gopher_repetition.duplicate_{size}_gram"} for size in range(5, 11)},
    "gopher_short_doc": {"gopher_quality.too_few_words"},
    "gopher_long_doc": {"gopher_quality.too_many_words"},
    "gopher_below_avg_threshold": {"gopher_quality.words_too_short"},
    "gopher_above_avg_threshold": {"gopher_quality.words_too_long"},
    "gopher_too_many_hashes": {"gopher_quality.too_many_hashes"},
    "gopher_too_many_ellipsis": {"gopher_quality.too_many_ellipses"},
    "gopher_too_many_bullets": {"gopher_quality.too_many_bullet_lines"},
    "gopher_too_many_end_ellipsis": {"gopher_quality.too_many_ellipsis_lines"},
    "gopher_below_alpha_threshold": {"gopher_quality.too_few_alphabetic_words"},
    "gopher_enough_stop_words": {"gopher_quality.too_few_stop_words"},
    "lorem_ipsum": {"c4.lorem_ipsum"},
    "curly_bracket": {"c4.curly_brace"},
    "too_few_sentences": {"c4.too_few_sentences"},
    "line_punct_ratio": {"fineweb.few_line_ends"},
    "short_line_ratio": {"fineweb.short_lines"},
    "char_dup_ratio": {"fineweb.duplicate_lines"},
    "list_ratio": {"fineweb.list"},
}
Reasons = list[str | None]


def chain_of(preset: str) -> list[Filter]:
    """Language and the filters of a preset that can drop a document."""
    recipe = make_recipe(
        {"name": "peers", "source": [SOURCE], **parse_toml((RECIPES / f"{preset}.toml").read_text("utf-8"), preset)},
        where=preset,
    )
    return [recipe.language, *(rule for rule in recipe.filter if rule.bounds)]


def judge(rules: list[Filter], table: pa.Table) -> tuple[dict[str, Reasons], list[str]]:
    """Reasons of each rule on its own, of all in a row, and the texts after the edit."""
    whole = left = Documents(table)
    alone: dict[str, Reasons] = {}
    cascade: Reasons = [None] * table.num_rows
    for rule in rules:
        if isinstance(rule, Edit):
            assert left is whole, "a second edit would see other texts on its own"
            text, columns = rule.edit(whole)
            found = alone[rule.rule] = _reasons(rule, columns)
            left = whole.with_text(text)
        else:
            alone[rule.rule] = _reasons(rule, rule.score(whole))
            found = alone[rule.rule] if left is whole else _reasons(rule, rule.score(left))
        cascade = [before or now for before, now in zip(cascade, found, strict=True)]
    return {**alone, "cascade": cascade}, left.table["text"].to_pylist()


def _reasons(rule: Filter, columns: Columns) -> Reasons:
    return list(rule.reject(scores_of(rule, columns)).to_pylist())


def differences(
    ours: dict[str, Reasons], theirs: dict[str, Reasons], ids: list[str]
) -> list[tuple[str, str, object, object]]:
    """Documents that one drops for another reason than the other: id, rule, our reason, theirs."""
    return [
        (id, name, our, their)
        for name, found in ours.items()
        for id, our, their in zip(ids, found, theirs[name], strict=True)
        if (our is None) != (their is None) or (their is not None and our not in REASONS[their])
    ]


@pytest.fixture(scope="module")
def shards() -> list[list[tuple[str, str]]]:
    """Id and text of all documents."""
    shared_data("web", "wet")
    return [shard for _, shard in documents()]


def answers(version: str) -> dict[str, dict[str, Any]]:
    """What a version of datatrove says of each document."""
    return {row["id"]: row for row in pq.read_table(FIXTURES / f"datatrove-{version}.parquet").to_pylist()}


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("punkt_data")
@pytest.mark.parametrize(("preset", "version"), [("datatrove@0.10", "0.10.1"), ("fineweb@2024-04", "0.2.0")])
def test_every_document_has_the_fate_reason_and_text_that_datatrove_gives_it(
    shards: list[list[tuple[str, str]]], preset: str, version: str
) -> None:
    expected = answers(version)
    rules = chain_of(preset)
    wrong: list[object] = []
    seen: Counter[str] = Counter()
    for shard in shards:
        ids = [id for id, _ in shard]
        rows = [expected[id] for id in ids]
        assert [row["text"] for row in rows] == [_digest(text) for _, text in shard], "the fixture is of other texts"
        ours, edited = judge(rules, batch([text for _, text in shard]))
        theirs = {name: [row[name] for row in rows] for name in ours}
        wrong += differences(ours, theirs, ids)
        wrong += [
            (row["id"], "text")
            for row, text in zip(rows, edited, strict=True)
            if row["edited"] is not None and row["edited"] != _digest(text)
        ]
        seen.update(why for row in rows for why in (row["cascade"], row["fineweb"]) if why)
    assert wrong == []
    assert sum(seen.values()) > 1000  # of documents that were dropped, for more than a few reasons
    assert len(seen) > 15


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("punkt_data")
def test_every_document_has_the_words_and_sentences_that_nltk_finds_in_it(shards: list[list[tuple[str, str]]]) -> None:
    expected = answers("0.2.0")
    wrong = []
    for shard in shards:
        text = buffers([text for _, text in shard])
        found = zip(
            found_words(nltk_words.find_words, text),
            np.diff(find_sentences(text, text.offsets[:-1], text.offsets[1:], load_english().table).offsets).tolist(),
            strict=True,
        )
        digests = [(_digest("".join(f"{word}\n" for word in words)), num_sentences) for words, num_sentences in found]
        rows = [expected[id] for id, _ in shard]
        wrong += [
            row["id"] for row, found in zip(rows, digests, strict=True) if found != (row["words"], row["sentences"])
        ]
    assert wrong == []
    assert len({row["words"] for row in expected.values()}) > 9_000


def _digest(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())

import itertools
import json
import pickle
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.lines import deduplicate_lines
from corpus.recipe import Dedup, Lines
from manifests import shards
from manifests.schemas import REMOVED_LINES
from manifests.shards import read_table
from tests.bench.measures import web_texts
from tests.corpus.dedup.corpora import in_order, shuffled
from tests.corpus.dedup.line_corpora import Texts, deduplicated, left, removed, write_texts
from tests.reference.dedup_lines import Rest, remove_repeats
from tests.shared import shared_data

LINES = Lines(min_chars=4)
NOTICE = "Copyright 2020, all rights reserved"


def run(out: Path | str, units: Texts, config: Lines = LINES, **more: Any) -> dict[str, list[str | None]]:
    """What is left of each document."""
    write_texts(str(out), units)
    deduplicated(str(out), units, config, **more)
    return left(str(out), units)


def expected(units: Texts, config: Lines) -> dict[str, list[Rest]]:
    rests = iter(remove_repeats(list(itertools.chain.from_iterable(units.values())), config.unit, config.min_chars))
    return {unit_id: [next(rests) for _ in texts] for unit_id, texts in units.items()}


def test_the_first_document_keeps_a_line_and_later_ones_lose_it(tmp_path: Path) -> None:
    units = {
        "a": [f"first page\n{NOTICE}"],
        "b": [f"{NOTICE}\n\nsecond page", "third page\ncopyright 1999 -- ALL rights reserved!\nmore"],
    }
    assert run(tmp_path, units) == {"a": units["a"], "b": ["second page", "third page\nmore"]}
    assert removed(str(tmp_path), "a") == []
    assert removed(str(tmp_path), "b") == [
        {"row": 0, "starts": [0], "ends": [37], "num_lines_removed": 1, "num_bytes_removed": 37, "dropped": False},
        {"row": 1, "starts": [11], "ends": [50], "num_lines_removed": 1, "num_bytes_removed": 39, "dropped": False},
    ]


def test_repeats_inside_the_first_document_stay_and_all_of_them_go_from_later_ones(tmp_path: Path) -> None:
    song = "la la la la\nverse one\nla la la la\nverse two\nla la la la"
    units = {"a": [song, "la la la la\na review of it\nla la la la"]}
    assert run(tmp_path, units) == {"a": [song, "a review of it"]}


def test_short_lines_stay_wherever_they_are(tmp_path: Path) -> None:
    units = {"a": ["one!\nFour\nfive5\n---", "one!\nFour\nfive5\n---"]}
    assert run(tmp_path, units) == {"a": ["one!\nFour\nfive5\n---", None]}
    units = {"b": ["one!\nFour\nfive5\n---", "one!\nFour\nfive5\n---\nsome more"]}
    assert run(tmp_path / "b", units) == {"b": ["one!\nFour\nfive5\n---", "one!\n---\nsome more"]}


def test_a_document_with_less_left_than_one_line_that_counts_is_dropped(tmp_path: Path) -> None:
    units = {"a": ["some line", "some line\nabc", "some line\na-b-c\nd", "abc"]}
    assert run(tmp_path, units) == {"a": ["some line", None, "a-b-c\nd", "abc"]}
    assert [row["dropped"] for row in removed(str(tmp_path), "a")] == [True, False]


def test_documents_that_are_not_kept_own_no_lines(tmp_path: Path) -> None:
    units = {"a": ["common line\none", "common line\ntwo", "common line\nthree", "common line\nfour"]}
    out = str(tmp_path)
    write_texts(out, units, dropped=frozenset({("a", 0)}), losers=frozenset({("a", 1)}))
    deduplicated(out, units, LINES)
    assert left(out, units) == {"a": [None, None, "common line\nthree", "four"]}


def test_paragraphs_go_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    units = {
        "a": [
            "A note\nof two lines.\n\nOne.",
            "A note of\ntwo lines\n \nA note\n\nTwo.",
            "a note\nof two lines\nThree.",
        ]
    }
    config = Lines(unit="paragraph", min_chars=4)
    assert run(tmp_path, units, config) == {"a": [units["a"][0], "A note\n\nTwo.", units["a"][2]]}
    assert [row["num_lines_removed"] for row in removed(str(tmp_path), "a")] == [2]


WORDS = [
    "",
    "",
    " ",
    "Home",
    "Log in",
    "log-in 7",
    "All about us",
    "ABOUT us: all",
    "ß",
    "😀😀😀😀",
    "unique text here",
    "x y z",
]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["line", "paragraph"]), st.integers(1, 9), st.integers(1, 9))
def test_any_corpus_is_left_as_by_the_twin(seed: int, unit: Any, min_chars: int, partitions: int) -> None:
    dice = random.Random(seed)
    units = {
        name: ["\n".join(dice.choices(WORDS, k=dice.randrange(7))) for _ in range(dice.randrange(5))] for name in "abcd"
    }
    config = Lines(unit=unit, min_chars=min_chars)
    with tempfile.TemporaryDirectory() as out:
        found = run(out, units, config, partitions=partitions, run_map=shuffled(seed))
        rests = expected(units, config)
        assert found == {name: [None if rest.dropped else rest.text for rest in rests[name]] for name in units}
        lost = {name: [rest.num_lines_removed for rest in rests[name] if rest.num_lines_removed] for name in units}
        assert lost == {name: [row["num_lines_removed"] for row in removed(out, name)] for name in units}


def real_units() -> Texts:
    shared_data("web", "wet")
    texts = web_texts(1)
    return {name: texts[start::3] for start, name in enumerate("abc")}


@pytest.mark.shared
def test_real_pages_are_left_as_by_the_twin(tmp_path: Path) -> None:
    units = real_units()
    found = run(tmp_path, units, Lines())
    rests = expected(units, Lines())
    assert found == {name: [None if rest.dropped else rest.text for rest in rests[name]] for name in units}
    assert sum(rest.num_lines_removed for each in rests.values() for rest in each) > 300


@pytest.mark.shared
def test_bytes_do_not_depend_on_partitions_order_row_groups_or_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = {name: texts[:40] for name, texts in real_units().items()}
    write_texts(str(tmp_path), units)
    first = deduplicated(str(tmp_path), units, LINES, partitions=1)
    assert sum(entry.rows for entry in first) > 50
    for partitions, run_map in ((5, shuffled(1)), (64, shuffled(2))):
        assert deduplicated(str(tmp_path), units, LINES, partitions, run_map, digest=str(partitions)) == first
    write_texts("memory://lines", units)
    assert deduplicated("memory://lines", units, LINES) == first
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 3)
    assert run(tmp_path / "cut", units) == left(str(tmp_path), units)


def test_units_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    units = {"b": [NOTICE + "\nfrom b"], "a": [NOTICE + "\nfrom a"]}
    assert run(tmp_path, units) == {"b": ["from b"], "a": [NOTICE + "\nfrom a"]}


def test_a_run_that_broke_off_goes_on_and_another_one_begins_anew(tmp_path: Path) -> None:
    units = {"a": [NOTICE], "b": [NOTICE + "\nmore text"]}
    done: list[str] = []

    def break_off(task: Any, items: list[dict[str, Any]]) -> Any:
        for item in items:
            result = task(item)
            done.append(f"{task.__name__} {item['number']}{' again' if result.get('reused') else ''}")
            if done[-1] == "find_repeats 1":
                raise KeyboardInterrupt
            yield result

    write_texts(str(tmp_path), units)
    with pytest.raises(KeyboardInterrupt):
        deduplicated(str(tmp_path), units, LINES, run_map=break_off)
    done.clear()
    whole = deduplicated(str(tmp_path), units, LINES, run_map=break_off)
    assert done[:5] == [
        *("hash_lines 0 again", "hash_lines 1 again"),
        *("find_repeats 0 again", "find_repeats 1 again", "find_repeats 2"),
    ]
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        deduplicated(str(tmp_path), units, LINES, digest="another", run_map=break_off)
    assert deduplicated(str(tmp_path), units, LINES, digest="another") == whole


def test_tasks_travel_by_name_and_their_items_and_results_are_small_json(tmp_path: Path) -> None:
    sizes: list[int] = []

    def measuring(task: Any, items: list[dict[str, Any]]) -> Any:
        assert pickle.loads(pickle.dumps(task)) is task
        for item in items:
            result = task(json.loads(json.dumps(item)))
            sizes.append(len(json.dumps(item)) + len(json.dumps(result)))
            yield result

    run(tmp_path, {"a": [NOTICE], "b": [NOTICE]}, run_map=measuring)
    assert len(sizes) == 2 + 3 + 2
    assert max(sizes) < 500


def test_no_units_and_units_without_documents_give_tables_without_rows(tmp_path: Path) -> None:
    assert deduplicate_lines(str(tmp_path / "none"), {}, Dedup(lines=LINES), "d", in_order) == []
    assert run(tmp_path, {"a": [], "b": [""]}) == {"a": [], "b": [""]}
    table = read_table(str(tmp_path / "duplicates" / "lines" / "b.parquet"))
    assert (table.num_rows, table.schema) == (0, REMOVED_LINES)

import itertools
import json
import pickle
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.recipe import Dedup, MinHash
from manifests import shards
from manifests.schemas import DUPLICATES
from manifests.shards import list_files
from tests.corpus.dedup.corpora import Units, build, in_order, rows, shuffled
from tests.reference.dedup import Document, duplicates

SMALL = MinHash(ngram=2, bands=6, rows=2, threshold=0.5)


def text(seed: int, num_words: int = 30) -> str:
    generator = random.Random(seed)
    return " ".join(generator.choice("abcdefghijklmnopqrstuvwxyz") * 3 for _ in range(num_words))


def edited(original: str, position: int) -> str:
    words = original.split()
    words[position % len(words)] = "edited"
    return " ".join(words)


def planted(seed: int) -> Units:
    """Up to four units with copies, edited copies, documents without words, and documents without text."""
    generator = random.Random(seed)
    texts = [text(generator.randrange(5)) for _ in range(generator.randrange(14))]
    texts = [edited(each, generator.randrange(30)) if generator.random() < 0.5 else each for each in texts]
    texts += generator.choices(["", "...", "!", "one", "One."], k=4)
    units: Units = {f"{number:016x}": [] for number in range(generator.randint(1, 4))}
    for each in generator.sample(texts, len(texts)):
        date = generator.choice([None, "2020-01-01", "2021-05-05T10:00:00Z"])
        url = generator.choice(
            [None, "", "http://a.b/", "https://www.a.b", "http://a.b/c?utm_source=d", "https://A.b/c"]
        )
        document = Document(f"{generator.getrandbits(128):032x}", each, date, generator.randrange(3) / 2, url)
        units[generator.choice(sorted(units))].append(document)
    return units


def expected(units: Units, config: Dedup) -> dict[str, list[dict[str, Any]]]:
    found = duplicates(list(itertools.chain.from_iterable(units.values())), config)
    return {
        unit_id: [found[document.doc_id] for document in documents if document.doc_id in found]
        for unit_id, documents in units.items()
    }


CONFIGS = st.builds(
    Dedup,
    exact=st.booleans(),
    normalized=st.booleans(),
    url=st.booleans(),
    keep=st.sampled_from(["longest", "best_quality", "earliest", "latest"]),
    minhash=st.none() | st.just(SMALL),
    partitions=st.sampled_from([1, 2, 7, None]),
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), CONFIGS, st.integers(0, 100))
def test_planted_duplicates_are_found_as_by_brute_force(seed: int, config: Dedup, order: int) -> None:
    units = planted(seed)
    with tempfile.TemporaryDirectory() as out:
        build(out, units, config, shuffled(order))
        assert rows(out, units) == expected(units, config)


def test_planted_corpora_hold_all_kinds_of_rows() -> None:
    config = Dedup(normalized=True, url=True, minhash=SMALL)
    found = [expected(planted(seed), config) for seed in range(20)]
    kinds = {row["kind"] for units in found for table in units.values() for row in table}
    assert kinds == {"keeper", "exact", "normalized", "url", "near"}


def test_bytes_do_not_depend_on_partitions_order_or_folder(tmp_path: Path) -> None:
    units = planted(3)
    results = [
        build(str(tmp_path / str(number)), units, Dedup(minhash=SMALL, partitions=partitions), run_map)
        for number, (partitions, run_map) in enumerate([(1, in_order), (5, shuffled(1)), (64, shuffled(2))])
    ]
    assert sum(entry.rows for entry in results[0]) > 0
    assert results[0] == results[1] == results[2]


def test_work_on_any_file_system() -> None:
    units = planted(3)
    with tempfile.TemporaryDirectory() as out:
        local = build(out, units, Dedup(minhash=SMALL))
    assert build("memory://dedup", units, Dedup(minhash=SMALL)) == local


def test_a_unit_without_duplicates_has_an_empty_table(tmp_path: Path) -> None:
    units = {"a": [Document("1", text(1))], "b": [], "c": [Document("2", text(2))]}
    entries = build(str(tmp_path), units, Dedup(minhash=SMALL))
    assert [(entry.path, entry.rows) for entry in entries] == [(f"duplicates/{unit}.parquet", 0) for unit in "abc"]
    assert pq.read_schema(tmp_path / "duplicates" / "b.parquet") == DUPLICATES


def test_intermediate_and_older_files_are_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "duplicates" / "work").mkdir(parents=True)
    (tmp_path / "duplicates" / "gone.parquet").write_bytes(b"old")
    build(str(tmp_path), {"a": [Document("1", "x"), Document("2", "x")]}, Dedup())
    assert list_files(str(tmp_path / "duplicates")) == ["a.parquet"]


def test_the_longest_of_a_near_component_stays(tmp_path: Path) -> None:
    units = {"a": [Document("1", text(1)), Document("2", text(1) + " more")], "b": [Document("3", text(1))]}
    build(str(tmp_path), units, Dedup(minhash=SMALL))
    found = rows(str(tmp_path), units)
    assert [(row["doc_id"], row["kept_doc_id"], row["kind"]) for row in found["a"] + found["b"]] == [
        ("1", "2", "near"),
        ("2", "2", "keeper"),
        ("3", "2", "near"),
    ]
    assert [row["component_size"] for row in found["a"] + found["b"]] == [3, 3, 3]


@pytest.mark.parametrize(
    ("keep", "kept"), [("longest", "1"), ("best_quality", "3"), ("earliest", "2"), ("latest", "1")]
)
def test_policies_pick_their_keeper_and_ties_go_to_the_least_doc_id(tmp_path: Path, keep: Any, kept: str) -> None:
    same = text(1)
    documents = [
        Document("4", same, "2020", 0.5),
        Document("3", same, None, 0.5),
        Document("1", same, "2021", 0.1),
        Document("2", same, "2020", 0.2),
    ]
    build(str(tmp_path), {"a": documents}, Dedup(keep=keep, minhash=SMALL))
    assert {row["kept_doc_id"] for row in rows(str(tmp_path), {"a": documents})["a"]} == {kept}


def test_a_chain_of_edits_is_cut_where_it_no_longer_resembles_its_keeper(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(10, 70)]
    documents = [Document(str(start // 4), " ".join(words[start : start + 40])) for start in range(0, 21, 4)]
    config = Dedup(minhash=MinHash(ngram=1, bands=128, rows=2, threshold=0.6))
    build(str(tmp_path), {"a": documents}, config)
    found = rows(str(tmp_path), {"a": documents})["a"]
    # Each shares 36 of 44 words with the next (0.82), 32 of 48 with the second next (0.67), 28 of 52 (0.54) after that.
    assert [(row["doc_id"], row["kept_doc_id"], row["component_size"]) for row in found] == [
        ("0", "0", 3),
        ("1", "0", 3),
        ("2", "0", 3),
        ("3", "3", 3),
        ("4", "3", 3),
        ("5", "3", 3),
    ]
    assert all(row["jaccard"] >= 0.6 for row in found)


def test_facts_are_found_in_any_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 2)
    units = planted(3)
    build(str(tmp_path), units, Dedup(minhash=SMALL))
    assert rows(str(tmp_path), units) == expected(units, Dedup(minhash=SMALL))


def test_no_units_give_no_files(tmp_path: Path) -> None:
    assert build(str(tmp_path), {}, Dedup()) == []


def test_tasks_travel_by_name_and_their_items_and_results_are_small_json(tmp_path: Path) -> None:
    sizes: list[int] = []

    def measuring(task: Any, items: list[dict[str, Any]]) -> Any:
        assert pickle.loads(pickle.dumps(task)) is task
        for item in items:
            result = task(json.loads(json.dumps(item)))
            sizes.extend([len(json.dumps(item)), len(json.dumps(result))])
            yield json.loads(json.dumps(result))

    build(str(tmp_path), planted(3), Dedup(minhash=SMALL), measuring)
    assert len(sizes) > 10
    assert max(sizes) < 1000

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.synthetic import Segments, counting_corpus, make_corpus, small_config, train_rows
from trainer.data import open_data
from trainer.packed import PackedRows
from trainer.stream import Batch, TrainStream

# A row of 8 + 1 tokens: a document of 4 tokens, one of 3 and two tokens of padding.
ROW = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))


def one_row(folder: Path) -> PackedRows:
    return train_rows(folder, make_corpus(folder, [[ROW]], [], 8, 16))


def counting_stream(folder: Path, num_rows: int = 24, seed: int = 3, global_batch: int = 12) -> TrainStream:
    counting_corpus(folder, num_rows=num_rows)
    stream = open_data([str(folder)], small_config(seed=seed, global_batch=global_batch)).train
    assert isinstance(stream, TrainStream)
    return stream


def test_segments_and_sources_are_spread_over_tokens_and_padding_is_minus_one(tmp_path: Path) -> None:
    batch = one_row(tmp_path).read(np.array([0, 0]))
    assert batch.tokens[1].tolist() == [5, 6, 7, 0, 8, 9, 0, 0, 0]
    assert batch.segment.tolist() == [[0, 0, 0, 0, 1, 1, 1, -1, -1]] * 2
    assert batch.segment_number.tolist() == [[0, 0, 0, 0, 1, 1, 1, -1, -1], [2, 2, 2, 2, 3, 3, 3, -1, -1]]
    assert batch.spread(batch.segment_source).tolist() == [[0, 0, 0, 0, 1, 1, 1, -1, -1]] * 2


def test_tokens_are_counted_by_segment_and_padding_is_in_none(tmp_path: Path) -> None:
    batch = one_row(tmp_path).read(np.array([0, 0]))
    assert batch.segment_starts.tolist() == [0, 4, 9, 13]
    assert batch.count_by_segment(batch.tokens != 0).tolist() == [3, 2, 3, 2]
    assert batch.count_by_segment(batch.tokens == 0).tolist() == [1, 1, 1, 1]
    assert batch.cut(0, 0).count_by_segment(batch.tokens[:0] == 0).tolist() == []


def test_a_batch_made_by_hand_knows_neither_rows_nor_languages_nor_quality() -> None:
    one = np.array([1])
    batch = Batch(np.zeros((1, 3), np.uint16), one, np.array([3]), np.array([0]), np.array([6]))
    assert (batch.rows.tolist(), batch.samples.tolist()) == ([-1], [-1])
    assert (batch.segment_language.tolist(), batch.segment_quality.tolist(), batch.labels) == ([-1], [-1], None)


def test_rows_that_are_cut_off_are_the_same_rows_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    stream = counting_stream(tmp_path)
    whole = stream.batch(1, 0, 1)
    cut, read = whole.cut(3, 5), stream.reader.read(stream.rows(1)[3:5])
    for name in ("tokens", "num_segments", "segment_length", "segment_source", "segment_bytes", "rows"):
        assert np.array_equal(getattr(cut, name), getattr(read, name))
    assert cut.samples.tolist() == [3, 4]
    assert cut.segment.tolist() == whole.segment[3:5].tolist()


def test_rows_of_a_batch_know_their_place_in_training_on_any_number_of_workers(tmp_path: Path) -> None:
    stream = counting_stream(tmp_path, global_batch=4)
    assert [stream.batch(3, rank, 2).samples.tolist() for rank in range(2)] == [[8, 9], [10, 11]]
    assert stream.batch(3, 0, 1).rows.tolist() == stream.rows(3).tolist()


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 5])
def test_the_parts_of_all_workers_are_the_global_batch(tmp_path: Path, world_size: int) -> None:
    stream = counting_stream(tmp_path)
    parts = [stream.batch(5, rank, world_size) for rank in range(world_size)]
    assert np.array_equal(np.concatenate([part.tokens for part in parts]), stream.batch(5, 0, 1).tokens)
    assert np.concatenate([part.samples for part in parts]).tolist() == list(range(48, 60))


def test_a_worker_without_a_row_gets_an_empty_batch(tmp_path: Path) -> None:
    parts = [counting_stream(tmp_path, global_batch=2).batch(1, rank, 3) for rank in range(3)]
    assert [part.tokens.shape for part in parts] == [(0, 33), (1, 33), (1, 33)]
    assert parts[0].segment.shape == (0, 33)


def test_an_epoch_of_steps_has_every_row_once_and_the_next_begins_where_it_ends(tmp_path: Path) -> None:
    stream = counting_stream(tmp_path, global_batch=8)
    rows = np.concatenate([stream.rows(step) for step in range(1, 7)])
    assert sorted(rows[:24].tolist()) == list(range(24))
    assert sorted(rows[24:].tolist()) == list(range(24))
    assert rows[:24].tolist() != rows[24:].tolist()


def test_a_batch_larger_than_the_corpus_repeats_rows(tmp_path: Path) -> None:
    assert sorted(counting_stream(tmp_path, num_rows=3, global_batch=6).rows(1).tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("num_threads", [1, 4])
def test_prefetched_batches_are_those_of_their_steps(tmp_path: Path, num_threads: int) -> None:
    stream = counting_stream(tmp_path, global_batch=4)
    stream.num_threads = num_threads
    seen = [(step, batch.tokens.tolist()) for step, batch, _ in stream.batches(4, 16, rank=1, world_size=2)]
    assert seen == [(step, stream.batch(step, 1, 2).tokens.tolist()) for step in range(4, 17)]


def test_no_more_batches_are_read_ahead_than_there_are_threads_and_one(tmp_path: Path) -> None:
    stream = counting_stream(tmp_path, global_batch=4)
    asked: list[int] = []
    batch_of = stream.batch

    def watched(step: int, rank: int, world_size: int) -> Batch:
        asked.append(step)
        return batch_of(step, rank, world_size)

    stream.batch = watched  # type: ignore[method-assign]
    batches = stream.batches(1, 20, 0, 1)
    assert next(batches)[0] == 1
    batches.close()
    assert set(asked) <= {1, 2, 3, 4}  # two threads: three steps are under way when the first is handed out
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]

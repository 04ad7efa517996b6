import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import InputError, RecipeError
from tests.trainer.synthetic import counting_corpus
from tests.trainer.tiny import tuning, write_hugging_face, write_jsonl, write_tokenizer
from trainer.config import TrainConfig
from trainer.data import Data, open_data, steps_of_documents
from trainer.example_rows import best_fit
from trainer.stream import Batch

PROMPT = [4, 5, 11, 29, 26, 13, 12, 6, 5, 11]  # User : \n what is red \n\n Assistant : \n
END = 0
COLOURS = ("red", "green", "blue", "one", "two", "three", "four", "five")
PAIRS = [{"prompt": f"what is {one}", "response": other} for one, other in zip(COLOURS, COLOURS[::-1], strict=True)]


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    return str(write_tokenizer(tmp_path / "tokenizer"))


def opened(tmp_path: Path, records: list[Any], config: TrainConfig) -> Data:
    return open_data([write_jsonl(tmp_path / "data.jsonl", records)], config)


def whole(data: Data) -> Batch:
    """All training rows in storage order."""
    return data.train.reader.read(np.arange(data.train.num_rows))


def segments(batch: Batch) -> list[list[tuple[list[int], list[int]]]]:
    """Of each row and segment: token ids, and 1 for the targets among them."""
    assert batch.loss_mask is not None
    found = []
    for row in range(len(batch.tokens)):
        of_row = [batch.segment[row] == number for number in range(batch.num_segments[row])]
        found.append(
            [(batch.tokens[row][place].tolist(), batch.loss_mask[row][place].astype(int).tolist()) for place in of_row]
        )
    return found


def test_only_the_answer_and_its_end_are_targets(tmp_path: Path, tokenizer: str) -> None:
    record = {"prompt": "what is red", "response": "one two"}
    data = opened(tmp_path, [record], tuning("instruction", examples={"tokenizer": tokenizer}))
    assert segments(whole(data)) == [[([*PROMPT, 16, 17, END], [0] * 10 + [1, 1, 1])]]


def test_each_turn_of_the_assistant_is_a_target_and_no_other_turn(tmp_path: Path, tokenizer: str) -> None:
    turns = [("user", "what is red"), ("assistant", "one"), ("user", "two"), ("assistant", "blue")]
    record = {"messages": [{"role": role, "content": content} for role, content in turns]}
    data = opened(tmp_path, [record], tuning("instruction", examples={"tokenizer": tokenizer}))
    # ... one <end> \n\n User : \n two \n\n Assistant : \n blue <end>
    ids = [*PROMPT, 16, END, 12, 4, 5, 11, 17, 12, 6, 5, 11, 15, END]
    assert segments(whole(data)) == [[(ids, [0] * 10 + [1, 1] + [0] * 9 + [1, 1])]]


def test_a_pair_lies_side_by_side_in_one_row(tmp_path: Path, tokenizer: str) -> None:
    records = [{"prompt": "what is red", "chosen": "one", "rejected": "two two"}] * 2
    data = opened(tmp_path, records, tuning("preference", examples={"tokenizer": tokenizer}))
    pair = [([*PROMPT, 16, END], [0] * 10 + [1, 1]), ([*PROMPT, 17, 17, END], [0] * 10 + [1, 1, 1])]
    assert segments(whole(data)) == [pair, pair]  # 25 tokens a pair, 32 in a row
    wide = opened(tmp_path, records, tuning("preference", examples={"tokenizer": tokenizer, "length": 50}))
    assert segments(whole(wide)) == [[*pair, *pair]]


def test_a_text_with_a_label_is_framed_as_the_tokenizer_frames_it(tmp_path: Path) -> None:
    records = [{"text": "good film", "label": "yes"}, {"text": "bad", "label": "no"}]
    config = tuning("classification", init=write_hugging_face(tmp_path / "bert", "bert"))
    data = opened(tmp_path, records, config)
    batch = whole(data)
    assert segments(batch) == [[([2, 30, 32, 3], [0] * 4), ([2, 31, 3], [0] * 3)]]
    assert data.labels == ("no", "yes")
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 0]


def test_an_encoder_decoder_gets_prompt_and_answer_framed_each(tmp_path: Path) -> None:
    config = tuning("summarization", init=write_hugging_face(tmp_path / "t5", "t5"))
    data = opened(tmp_path, [{"document": "red", "summary": "one"}], config)
    # [CLS] red \n\n Summary : \n [SEP], [CLS] one [SEP]
    assert segments(whole(data)) == [[([2, 13, 12, 9, 5, 11, 3, 2, 16, 3], [0] * 7 + [1] * 3)]]


def test_examples_share_rows_and_keep_their_file_and_line(tmp_path: Path, tokenizer: str) -> None:
    paths = [write_jsonl(tmp_path / f"{name}.jsonl", PAIRS[:3]) for name in ("a", "b")]
    data = open_data(paths, tuning("instruction", examples={"tokenizer": tokenizer, "length": 40}))
    found = [data.train.documents(row) for row in range(data.train.num_rows)]
    assert [row["segment_doc"] for row in found] == [
        ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"],
        ["b.jsonl:1", "b.jsonl:2", "b.jsonl:3"],
    ]
    assert [row["segment_source"] for row in found] == [[0, 0, 0], [1, 1, 1]]
    assert [row["segment_length"] for row in found] == [[12] * 3] * 2
    assert data.sources == ("a.jsonl", "b.jsonl")
    assert (
        whole(data).segment_bytes.tolist()
        == [len(f"User:\n{pair['prompt']}\n\nAssistant:\n{pair['response']}") for pair in PAIRS[:3]] * 2
    )


def test_languages_of_translations_are_kept(tmp_path: Path, tokenizer: str) -> None:
    records = [{"source": "one", "target": "eins", "target_language": "de"}, {"source": "zwei", "target": "two"}]
    data = opened(tmp_path, records, tuning("translation", examples={"tokenizer": tokenizer}))
    assert data.languages == ("de",)
    assert whole(data).segment_language.tolist() == [0, -1]


def test_steps_read_every_row_once_an_epoch_on_any_number_of_workers(tmp_path: Path, tokenizer: str) -> None:
    data = opened(tmp_path, PAIRS, tuning("instruction", examples={"tokenizer": tokenizer, "length": 12}))
    assert data.train.num_rows == 8
    assert sorted(np.concatenate([data.train.rows(step) for step in (1, 2)]).tolist()) == list(range(8))
    assert data.train.rows(1).tolist() != data.train.rows(3).tolist()
    for world_size in (1, 3, 5):
        parts = [data.train.batch(3, rank, world_size) for rank in range(world_size)]
        assert np.concatenate([part.rows for part in parts]).tolist() == data.train.rows(3).tolist()
        assert np.concatenate([part.samples for part in parts]).tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("last_step", [0, 1, 3, 7])
def test_the_steps_of_an_example_are_those_that_going_through_all_steps_finds(
    tmp_path: Path, tokenizer: str, last_step: int
) -> None:
    data = opened(tmp_path, PAIRS, tuning("instruction", global_batch=3, examples={"tokenizer": tokenizer}))
    assert data.train.num_rows == 4  # two examples in each
    row = next(row for row in range(4) if "data.jsonl:5" in data.train.documents(row)["segment_doc"])
    read = [step for step in range(1, last_step + 1) for each in data.train.rows(step).tolist() if each == row]
    found = steps_of_documents(data, last_step, ["data.jsonl:5"])
    assert [(part["step"], part["row"]) for part in found] == [(step, row) for step in read]
    assert data.train.find(["data.jsonl:9"]).tolist() == []


def test_the_validation_split_depends_on_the_example_alone(tmp_path: Path, tokenizer: str) -> None:
    records = [{"prompt": f"what is {one} {other}", "response": one} for one in COLOURS for other in COLOURS]

    def split(order: list[Any], seed: int) -> tuple[set[str], set[str]]:
        config = tuning("instruction", seed=seed, examples={"tokenizer": tokenizer, "validation_ratio": 0.25})
        data = opened(tmp_path, order, config)
        assert data.validation is not None
        sides = []
        for reader in (data.train, data.validation):
            documents = [name for row in range(reader.num_rows) for name in reader.documents(row)["segment_doc"]]
            sides.append({json.dumps(order[int(name.split(":")[1]) - 1]) for name in documents})
        return sides[0], sides[1]

    train, validation = split(records, 0)
    assert (len(train) + len(validation), train & validation) == (64, set())
    assert 8 <= len(validation) <= 24
    assert split(records[::-1], 1) == (train, validation)


def test_the_digest_follows_what_decides_the_rows(tmp_path: Path, tokenizer: str) -> None:
    def digest(records: list[Any] = PAIRS, **examples: Any) -> str:
        return opened(tmp_path, records, tuning("instruction", examples={"tokenizer": tokenizer, **examples})).digest

    first = digest()
    assert digest(beta=0.5) == first
    others = {digest(PAIRS[:-1]), digest(PAIRS[::-1]), digest(length=33), digest(template="{prompt}\n")}
    assert len(others | {first}) == 5
    (tmp_path / "elsewhere").mkdir()
    assert (
        opened(tmp_path / "elsewhere", PAIRS, tuning("instruction", examples={"tokenizer": tokenizer})).digest == first
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"data.jsonl:2: is not JSON in UTF-8"),
        (b'{"prompt": "\xff"}', r"data.jsonl:2: is not JSON in UTF-8"),
        (b"[" * 100_000, r"data.jsonl:2: is not JSON in UTF-8"),
        (b'{"prompt": "red"}', r"data.jsonl:2: key 'response' is missing"),
        (
            b'{"prompt": "<|endoftext|>", "response": "red"}',
            r"data.jsonl:2: the tokenizer reads a part of .* as its spec",
        ),
        (
            b'{"prompt": "one two three four five six seven eight one two three", "response": "five six seven eight"}',
            r"data.jsonl:2: has 23 tokens, 5 of them answers; a row holds examples.length = 20. 1 of 2 examples are "
            r"too long, the longest has 23. Raise examples.length",
        ),
    ],
)
def test_a_line_that_cannot_be_used_ends_the_run_with_its_place(
    tmp_path: Path, tokenizer: str, line: bytes, message: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(json.dumps(PAIRS[0]).encode() + b"\n" + line)
    with pytest.raises(InputError, match=message):
        open_data([str(path)], tuning("instruction", examples={"tokenizer": tokenizer, "length": 20}))


def test_settings_that_do_not_fit_are_refused(tmp_path: Path, tokenizer: str) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", PAIRS)

    def refused(error: type[Exception], message: str, **changes: Any) -> None:
        paths = changes.pop("paths", [path])
        objective = changes.pop("objective", "instruction")
        examples = {"tokenizer": tokenizer, **changes.pop("examples", {})}
        with pytest.raises(error, match=message):
            open_data(paths, tuning(objective, examples=examples, **changes))

    refused(
        RecipeError,
        r"data.csv: objective 'instruction' reads examples from files that end in .jsonl",
        paths=["data.csv"],
    )
    refused(RecipeError, r"a file is named twice", paths=[path, path])
    refused(InputError, r"none.jsonl: there is no such file", paths=[str(tmp_path / "none.jsonl")])
    refused(RecipeError, r"mixture is for corpora", mixture=[{"weights": {"a": 1.0}}])
    refused(RecipeError, r"read the 4 rows 60.0 times; max_repeats is 2.0", max_repeats=2.0)
    refused(RecipeError, r"model.context is 64, examples.length 32", model={"context": 64})
    refused(
        RecipeError, r"set init to the model to start from, or, to train from scratch", examples={"tokenizer": None}
    )
    refused(InputError, r"none of them left to train on", examples={"validation_ratio": 0.999999})
    one_label = write_jsonl(tmp_path / "one.jsonl", [{"text": "red", "label": "yes"}])
    refused(InputError, r"the 1 examples have the labels \['yes'\]", paths=[one_label], objective="classification")


def test_the_tokenizer_may_be_that_of_a_corpus(tmp_path: Path, tokenizer: str) -> None:
    corpus = tmp_path / "corpus"
    counting_corpus(corpus)
    (corpus / "tokenizer.json").write_bytes(Path(tokenizer).read_bytes())
    data = opened(tmp_path, PAIRS, tuning("instruction", examples={"tokenizer": str(corpus)}))
    assert (data.end_of_text_id, data.tokenizer) == (0, f"{corpus}/tokenizer.json")


def test_best_fit_fills_the_fullest_bin_that_has_room() -> None:
    assert best_fit([3, 5, 2, 7, 3], 10) == [[3, 0], [1, 4, 2]]
    assert best_fit([10, 10], 10) == [[0], [1]]
    lengths = [1 + (7 * number) % 13 for number in range(200)]
    bins = best_fit(lengths, 20)
    assert sorted(item for items in bins for item in items) == list(range(200))
    assert max(sum(lengths[item] for item in items) for items in bins) <= 20
    assert len(bins) == -(-sum(lengths) // 20)

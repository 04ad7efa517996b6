import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.errors import InputError, RecipeError
from trainer.evaluation.items import AnswerItem, ChoiceItem, TextItem, read_items


def write(path: Path, *lines: dict[str, Any] | str) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def test_keys_that_do_not_count_are_passed_over_and_blank_lines_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "one", "id": 5}, "", {"text": "two", "slice": "s"})
    assert read_items(path, TextItem) == [TextItem(text="one"), TextItem(text="two", slice="s")]


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "one\u2028two\x85three"}, ensure_ascii=False))
    assert [item.text for item in read_items(path, TextItem)] == ["one\u2028two\x85three"]


def test_compressed_files_are_read(tmp_path: Path) -> None:
    line = b'{"text": "one"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line))
    with pa.CompressedOutputStream(str(tmp_path / "a.jsonl.zst"), "zstd") as file:
        file.write(line)
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        assert read_items(str(tmp_path / name), TextItem) == [TextItem(text="one")]
    (tmp_path / "broken.jsonl.zst").write_bytes(line)
    with pytest.raises(InputError, match=r"broken\.jsonl\.zst: is damaged or not whole"):
        read_items(str(tmp_path / "broken.jsonl.zst"), TextItem)


def test_a_prompt_can_be_called_a_question_and_answers_can_be_several(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "q", "answer": ["x", "y"]}, {"prompt": "p", "answer": "z"})
    assert [(item.asked, item.answers) for item in read_items(path, AnswerItem)] == [("q", ["x", "y"]), ("p", ["z"])]


GOOD = {"prompt": "p", "choices": ["a", "b"], "answer": 0}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[1]", "2: is not a JSON object"),
        (
            {"prompt": "p", "answer": 0},
            "2: key 'choices': field required. The line has the keys ['answer', 'prompt']",
        ),
        ({**GOOD, "answer": 2}, "2: key 'answer': is 2, there are 2 choices, counted from 0"),
        ({**GOOD, "answer": "0"}, "2: key 'answer': input should be a valid integer"),
        ({**GOOD, "choices": ["a", " "]}, "2: key 'choices': one of them is empty"),
        ({**GOOD, "choices": ["a"]}, "2: key 'choices': list should have at least 2 items"),
        ({**GOOD, "prompt": " "}, "2: key 'prompt' or 'question': is empty"),
        ({**GOOD, "question": "q"}, "2: give one of the keys 'prompt' and 'question'"),
    ],
)
def test_a_wrong_line_is_told_by_file_line_and_key(tmp_path: Path, line: dict[str, Any] | str, told: str) -> None:
    path = write(tmp_path / "wrong.jsonl", GOOD, line)
    with pytest.raises(RecipeError, match=re.escape(f"wrong.jsonl:{told}")):
        read_items(path, ChoiceItem)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: there is no such file"):
        read_items(str(tmp_path / "none.jsonl"), TextItem)
    with pytest.raises(InputError, match=r"empty\.jsonl: has no lines"):
        read_items(write(tmp_path / "empty.jsonl", ""), TextItem)


@pytest.mark.parametrize("line", [b"\xe9", b"{", b"[" * 100_000])
def test_what_is_not_json_is_told_by_file_and_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "wrong.jsonl").write_bytes(b'{"text": "one"}\n' + line)
    with pytest.raises(InputError, match=r"wrong\.jsonl:2: is not JSON in UTF-8"):
        read_items(str(tmp_path / "wrong.jsonl"), TextItem)

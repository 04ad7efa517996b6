from pathlib import Path

import pytest

from manifests.errors import ModelError
from tests.trainer.tiny import write_tokenizer
from trainer.tokenizer import load_tokenizer


def test_texts_become_ids_without_special_tokens_around_them(tmp_path: Path) -> None:
    for frame in (False, True):
        tokenizer = load_tokenizer(str(write_tokenizer(tmp_path / str(frame), frame=frame)))
        assert tokenizer.encode(["what is red", ""]) == [[29, 26, 13], []]
        assert tokenizer.decode([29, 26, 13, 0]) == "what is red"
        assert (tokenizer.prefix, tokenizer.suffix) == (((2,), (3,)) if frame else ((), ()))


def test_a_special_token_that_a_text_gives_is_found_and_an_unknown_word_is_none(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(write_tokenizer(tmp_path)))
    assert tokenizer.encode(["zebra", "<|endoftext|>"]) == [[1], [0]]  # a vocabulary of words has it as a word
    assert tokenizer.special_in([29, 1]) is None
    assert tokenizer.special_in([29, 0]) == "<|endoftext|>"


def test_equal_bytes_are_loaded_once_and_others_anew(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path)
    first = load_tokenizer(str(path))
    assert load_tokenizer(str(path)) is first
    write_tokenizer(tmp_path, frame=True)
    assert load_tokenizer(str(path)).digest != first.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such tokenizer"),
        ("{", "is not a tokenizer.json"),
        ("[]", "has no `model`"),
        ('{"model": {"dropout": 0.1}}', "has BPE dropout"),
        ('{"model": {"type": "nothing"}}', "cannot|can be used"),
    ],
)
def test_what_is_no_tokenizer_is_refused_with_its_path(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=message) as error:
        load_tokenizer(str(path))
    assert str(path) in str(error.value)

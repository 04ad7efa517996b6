import json
from pathlib import Path

import pytest
import tokenizers
import transformers

from manifests.errors import ModelError
from tests.trainer.tokenizer_file import write_tokenizer_json
from trainer.tokenizer_layout import write_tokenizer


def test_transformers_gives_the_ids_of_the_file_and_knows_the_end_of_text(tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path / "tokenizer.json")
    write_tokenizer(str(tmp_path / "tokenizer.json"), 0, 128, True, str(tmp_path / "out"))
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    ids = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("nothing eats tea").ids
    assert 0 < len(ids) < len("nothing eats tea")
    assert found("nothing eats tea")["input_ids"] == ids
    assert found.decode(ids).replace(" ", "") == "nothingeatstea"
    assert (found.eos_token_id, found.eos_token, found.model_max_length) == (0, "<|endoftext|>", 128)


def test_an_end_of_text_beyond_the_vocabulary_gets_a_name(tmp_path: Path) -> None:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    (tmp_path / "tokenizer.json").write_text(made.to_str())
    write_tokenizer(str(tmp_path / "tokenizer.json"), 2, 8, True, str(tmp_path / "out"))
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert (found.eos_token, found.eos_token_id, len(found)) == ("<|endoftext|>", 2, 3)


def test_an_end_of_text_that_the_file_cannot_have_is_refused(tmp_path: Path) -> None:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    (tmp_path / "tokenizer.json").write_text(made.to_str())
    with pytest.raises(ModelError, match=r"the id 2, the run ends texts with id 9"):
        write_tokenizer(str(tmp_path / "tokenizer.json"), 9, 8, True, str(tmp_path / "out"))


@pytest.mark.parametrize(("as_in_corpus", "expected"), [(True, [1, 2]), (False, [0, 1, 2, 0])])
def test_a_corpus_has_no_tokens_around_its_texts_but_examples_keep_the_files(
    tmp_path: Path, as_in_corpus: bool, expected: list[int]
) -> None:
    vocabulary = {"</s>": 0, "a": 1, "b": 2}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="</s>"))
    made.add_special_tokens(["</s>"])
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing("</s> $A </s>", special_tokens=[("</s>", 0)])
    made.enable_truncation(1)
    (tmp_path / "tokenizer.json").write_text(made.to_str())
    write_tokenizer(str(tmp_path / "tokenizer.json"), 0, 8, as_in_corpus, str(tmp_path / "out"))
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert found("a b")["input_ids"] == expected


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such tokenizer"):
        write_tokenizer(str(tmp_path / "tokenizer.json"), 0, 8, True, str(tmp_path / "out"))
    with pytest.raises(ModelError, match="only a tokenizer.json can be exported"):
        write_tokenizer(str(tmp_path / "ranks.tiktoken"), 0, 8, True, str(tmp_path / "out"))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    with pytest.raises(ModelError, match="is not a tokenizer.json that can be used"):
        write_tokenizer(str(tmp_path / "tokenizer.json"), 0, 8, True, str(tmp_path / "out"))

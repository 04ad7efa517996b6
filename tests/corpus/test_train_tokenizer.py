import json

import pytest
import tokenizers

from corpus import train_tokenizer as training
from corpus.tokenizers import load_tokenizer
from corpus.train_tokenizer import train_tokenizer, trained_vocab_size
from manifests.errors import RecipeError
from tests.corpus.tokenizer_files import WORDS, texts, trained, write_trained


def test_the_size_is_read_from_the_recipe():
    assert trained_vocab_size("train:8000") == 8000
    assert trained_vocab_size("my/tokenizer.json") is None


@pytest.mark.parametrize("value", ["train:", "train:x", "train:256", "train:-5", "train:1e4", "train:1000001"])
def test_a_size_that_cannot_be_is_refused_with_an_example(value):
    with pytest.raises(RecipeError, match="from 257 to 1000000, such as 'train:8000'"):
        trained_vocab_size(value)


def test_the_vocabulary_is_bytes_then_end_of_text_then_merges():
    config = json.loads(trained())
    vocab = config["model"]["vocab"]
    assert len(vocab) == 400
    assert (vocab["!"], vocab["Ġ"], vocab["<|endoftext|>"]) == (33, 32, 256)
    # "th" is in the, them; " t" is more frequent still.
    assert config["model"]["merges"][0] == ["h", "e"]
    assert vocab["he"] == 257
    assert config["added_tokens"] == [
        {
            "id": 256,
            "content": "<|endoftext|>",
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
    ]


def test_order_and_batches_of_documents_do_not_matter():
    first, second, third = WORDS, WORDS.upper(), "some other words " * 5
    whole = train_tokenizer([texts(first, second, third)], 300)
    assert train_tokenizer(iter([texts(third), texts(), texts(second, first)]), 300) == whole


def test_merges_are_those_of_the_tokenizers_library():
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator([WORDS * 3, WORDS.upper()], trainer)
    expected = [list(pair) for pair in json.loads(peer.to_str())["model"]["merges"]]
    assert json.loads(trained())["model"]["merges"] == expected


def test_the_library_reads_the_file_and_gives_the_same_ids(tmp_path):
    path = write_trained(tmp_path)
    text = "The quick brown fox, naïve; 你好 12345!\n\tdef f(x):"
    assert load_tokenizer(path).encode(texts(text))[0].tolist() == tokenizers.Tokenizer.from_file(path).encode(text).ids


def test_too_little_text_says_how_many_tokens_there_are():
    with pytest.raises(RecipeError, match=r"'train:1000': the kept text \(5 bytes\) gives only 26\d tokens"):
        train_tokenizer([texts("abcde")], 1000)


def test_words_do_not_join_across_documents():
    apart = json.loads(train_tokenizer([texts("ab", "cd", "ab", "cd")], 259))
    assert sorted(apart["model"]["merges"]) == [["a", "b"], ["c", "d"]]


def test_the_sample_has_a_bound_and_depends_on_the_seed(monkeypatch):
    documents = [f"{number:04d}" for number in range(100)]

    def sample(seed, batches):
        return sorted(text for _, text in training._sample(batches, seed, 40))

    found = sample(1, [texts(*documents)])
    assert len(found) == 10
    assert sample(1, [texts(*reversed(documents[50:])), texts(*documents[:50])]) == found
    assert sample(2, [texts(*documents)]) != found
    assert sample(1, [texts("longer than the bound that is set here for it")]) != []


def test_training_prints_nothing(capfd):
    train_tokenizer([texts(WORDS)], 300)
    assert capfd.readouterr() == ("", "")

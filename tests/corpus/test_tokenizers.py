import base64
import json
import unicodedata
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from corpus import tokenizers as ours
from corpus.tokenizers import GigatokenEngine, LibraryEngine, load_tokenizer
from manifests.errors import ModelError, RecipeError
from tests.corpus.tokenizer_files import byte_ranks, read_lines, texts, tiktoken_lines, trained, write_trained
from tests.shared import shared_data

CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)


def encoded(tokenizer, *documents):
    tokens, offsets = tokenizer.encode(texts(*documents))
    return [tokens[start:stop].tolist() for start, stop in pairwise(offsets)]


def write_tiktoken(folder, ranks):
    path = folder / "own.tiktoken"
    path.write_bytes(tiktoken_lines(ranks))
    return str(path)


def write_library(folder, tokenizer):
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def word_piece(folder):
    vocab = {"[UNK]": 0, "[SEP]": 1, "[": 2, "]": 3, "sep": 4, "hel": 5, "##lo": 6}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[UNK]", "[SEP]"])
    return load_tokenizer(write_library(folder, tokenizer))


def unigram(folder):
    vocab = [
        ("<unk>", 0.0),
        ("</s>", 0.0),
        ("▁", -2.0),
        ("a", -3.0),
        ("<", -4.0),
        ("/", -4.0),
        ("s", -4.0),
        (">", -4.0),
    ]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    return load_tokenizer(write_library(folder, tokenizer))


def test_tokens_and_offsets_lie_side_by_side(tmp_path):
    tokenizer = load_tokenizer(write_tiktoken(tmp_path, byte_ranks(b"he", b"ll")), "gpt2")
    tokens, offsets = tokenizer.encode(texts("hello", "", "a"))
    assert tokens.tolist() == [256, 257, 111, 97]
    assert offsets.tolist() == [0, 3, 3, 4]
    assert (tokens.dtype, offsets.dtype) == (np.uint16, np.int64)


@pytest.mark.parametrize("make", [word_piece, unigram, lambda folder: load_tokenizer(write_trained(folder))])
def test_no_documents_give_no_tokens(tmp_path, make):
    tokens, offsets = make(tmp_path).encode(texts())
    assert (tokens.tolist(), offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("make", [word_piece, unigram, lambda folder: load_tokenizer(write_trained(folder))])
def test_slices_chunks_and_nulls_do_not_change_the_tokens(tmp_path, make):
    tokenizer = make(tmp_path)
    whole = encoded(tokenizer, "hello a", "", "𝒳 sep", "the dog")
    array = texts("hello a", "", "𝒳 sep", "the dog")
    sliced, offsets = tokenizer.encode(array.slice(2, 2))
    assert sliced.tolist() == whole[2] + whole[3]
    assert offsets.tolist() == [0, len(whole[2]), len(whole[2]) + len(whole[3])]
    chunks = pa.chunked_array([array.slice(0, 1), array.slice(1, 3)])
    assert tokenizer.encode(chunks)[0].tolist() == list(chain(*whole))
    with_null = pa.array(["hello a", None], pa.large_string())
    assert tokenizer.encode(with_null)[1].tolist() == [0, len(whole[0]), len(whole[0])]


def test_vocabularies_above_65536_ids_need_uint32(tmp_path):
    assert load_tokenizer(write_trained(tmp_path)).token_type == "uint16"
    wide = load_tokenizer(write_tiktoken(tmp_path, byte_ranks(*[bytes(pair) for pair in all_pairs()])), "gpt2")
    assert (wide.vocab_size, wide.token_type) == (65536 + 257, "uint32")


def all_pairs():
    return ((left, right) for left in range(256) for right in range(256))


def test_special_tokens_in_a_text_stay_text(tmp_path):
    trained = load_tokenizer(write_trained(tmp_path))
    assert trained.end_of_text_id == 256
    [ids] = encoded(trained, "a<|endoftext|>b")
    assert 256 not in ids
    assert trained.decode(ids) == "a<|endoftext|>b"
    assert encoded(word_piece(tmp_path), "[SEP] hello") == [[2, 4, 3, 5, 6]]


def test_a_special_token_that_is_a_word_of_the_vocabulary_is_out_of_reach(tmp_path):
    tokenizer = unigram(tmp_path)
    assert encoded(tokenizer, "a</s>") == [[2, 3, 4, 5, 6, 7]]
    assert tokenizer.decode([2, 3, 4, 5, 6, 7, 1]) == "a</s>"
    assert (tokenizer.vocab_size, tokenizer.end_of_text_id) == (8, 1)


def test_what_gigatoken_does_not_cover_goes_through_the_library(tmp_path):
    assert isinstance(load_tokenizer(write_trained(tmp_path)).engine, GigatokenEngine)
    tokenizer = word_piece(tmp_path)
    assert isinstance(tokenizer.engine, LibraryEngine)
    assert tokenizer.token_bytes() is None


def test_a_file_without_an_end_of_text_token_gets_one_more_id(tmp_path):
    tokenizer = load_tokenizer(write_tiktoken(tmp_path, byte_ranks(b"he")), "gpt2")
    assert (tokenizer.end_of_text_id, tokenizer.vocab_size) == (257, 258)


def test_an_end_of_text_token_among_the_ranks_is_the_one(tmp_path):
    ranks = byte_ranks(b"<|endoftext|>", b"he")
    tokenizer = load_tokenizer(write_tiktoken(tmp_path, ranks), "gpt2")
    assert (tokenizer.end_of_text_id, tokenizer.vocab_size) == (256, 258)
    assert encoded(tokenizer, "he") == [[257]]
    assert tokenizer.token_bytes()[255:].tolist() == [1, 0, 2]


@given(st.lists(st.text(max_size=30), max_size=4))
@settings(max_examples=50, deadline=None)
def test_bytes_of_tokens_add_up_to_the_bytes_of_the_text(tmp_path_factory, documents):
    tokenizer = load_tokenizer(write_trained(tmp_path_factory.mktemp("tokenizer")))
    table = tokenizer.token_bytes()
    sums = [int(table[ids].sum()) for ids in encoded(tokenizer, *documents)]
    assert sums == [len(document.encode()) for document in documents]
    assert [tokenizer.decode(ids) for ids in encoded(tokenizer, *documents)] == documents


def test_memory_of_words_is_dropped_now_and_then_without_changing_tokens(tmp_path, monkeypatch):
    tokenizer = load_tokenizer(write_trained(tmp_path))
    before = encoded(tokenizer, "the quick brown fox")
    loaded = tokenizer.engine._tokenizer
    monkeypatch.setattr(ours, "RELOAD_TOKENS", 0)
    assert encoded(tokenizer, "the quick brown fox") == before
    assert tokenizer.engine._tokenizer is not loaded


def test_a_tokenizer_is_loaded_once_per_content(tmp_path):
    path = write_trained(tmp_path)
    assert load_tokenizer(path) is load_tokenizer(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("tokenizer.json", b" \n", "is empty"),
        ("tokenizer.json", b"\xff\xfe", "is not a tokenizer.json"),
        ("tokenizer.json", b"{}", "has no `model`"),
        ("tokenizer.json", b'{"model": {"type": "Nonsense"}}', "is not a tokenizer.json that can be used"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []}}', "BPE dropout"),
        (
            "tokenizer.json",
            b'{"model": {"type": "WordLevel", "vocab": {"a": 4000000000}, "unk_token": "a"}}',
            "has 4000000001 ids; from 1 to 16777216 can be used",
        ),
        (
            "tokenizer.json",
            b'{"model": {}, "added_tokens": [{"content": "a"}]}',
            "`added_tokens` is not a list of tokens",
        ),
        ("own.tiktoken", b"aGU= 1 2\n", "line 1 is not `base64 rank`"),
        ("own.tiktoken", b"aGU= 0\naGU= 1\n", "line 2 repeats a token"),
        ("own.tiktoken", b"aGU= 0\naGk= 0\n", "the same rank"),
        ("own.tiktoken", b"aGU= 0\n", "no token for byte 0x00"),
        ("own.tiktoken", tiktoken_lines(byte_ranks(b"abc")), r"rank 256 \(b'abc'\) is not made by"),
        ("own.tiktoken", tiktoken_lines({**byte_ranks(), b"he": 9999}), "ranks below 10000 have no token"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message) as caught:
        load_tokenizer(str(path), "gpt2" if name.endswith(".tiktoken") else None)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: the tokenizer file cannot be read"):
        load_tokenizer(str(tmp_path / "none.json"))


def test_the_split_rule_is_never_guessed(tmp_path):
    path = write_tiktoken(tmp_path, byte_ranks())
    with pytest.raises(RecipeError, match="Set `pretokenizer` in .tokenize. to one of gpt2, cl100k, o200k"):
        load_tokenizer(path)
    with pytest.raises(RecipeError, match="'gpt5' is not known; choose one of gpt2, cl100k"):
        load_tokenizer(path, "gpt5")
    with pytest.raises(RecipeError, match=r"for \*\.tiktoken files only"):
        load_tokenizer(write_trained(tmp_path), "gpt2")


@pytest.mark.shared
def test_a_split_rule_that_contradicts_a_published_file_is_refused():
    path = str(shared_data("text", "tokenizers", "r50k_base.tiktoken"))
    with pytest.raises(RecipeError, match="is r50k_base, whose pretokenizer is 'gpt2', not 'cl100k'"):
        load_tokenizer(path, "cl100k")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "column", "vocab_size", "end_of_text_id"),
    [
        ("r50k_base.tiktoken", "gpt2", 50257, 50256),
        ("p50k_base.tiktoken", "p50k_base", 50281, 50256),
        ("cl100k_base.tiktoken", "cl100k_base", 100277, 100257),
        ("o200k_base.tiktoken", "o200k_base", 200019, 199999),
    ],
)
def test_published_files_give_the_gold_ids_and_exact_bytes(file, column, vocab_size, end_of_text_id):
    rows = read_lines(shared_data("text", "tokenizers", "gold_encodings.jsonl.zst"))
    tokenizer = load_tokenizer(str(shared_data("text", "tokenizers", file)))
    assert (tokenizer.vocab_size, tokenizer.end_of_text_id) == (vocab_size, end_of_text_id)
    found = encoded(tokenizer, *(row["text"] for row in rows))
    assert len(found) == 1647
    assert found == [row[column] for row in rows]
    table = tokenizer.token_bytes()
    assert [int(table[ids].sum()) for ids in found] == [len(row["text"].encode()) for row in rows]


@pytest.mark.shared
def test_a_tokenizer_json_gives_the_gold_ids_where_no_special_token_is_in_the_text():
    rows = read_lines(shared_data("text", "tokenizers", "gold_encodings.jsonl.zst"))
    path = str(shared_data("text", "tokenizers", "gpt_neox_olmo.tokenizer.json"))
    tokenizer = load_tokenizer(path)
    assert isinstance(tokenizer.engine, GigatokenEngine)
    plain = [row for row in rows if "<|endoftext|>" not in row["text"] and "<|padding|>" not in row["text"]]
    assert len(plain) > 1500
    found = encoded(tokenizer, *(row["text"] for row in plain))
    assert found == [row["gpt_neox_olmo"] for row in plain]
    # The gold reads `<|endoftext|>` in a text as the special token; as text it is what the library says.
    library = tokenizers.Tokenizer.from_file(path)
    library.encode_special_tokens = True
    others = [row["text"] for row in rows if row not in plain]
    assert encoded(tokenizer, *others) == [library.encode(text, add_special_tokens=False).ids for text in others]
    # The file normalizes to NFC, so bytes are those of the normalized text; added tokens count with theirs.
    table = tokenizer.token_bytes()
    sizes = [len(unicodedata.normalize("NFC", row["text"]).encode()) for row in plain]
    assert [int(table[ids].sum()) for ids in found] == sizes


@pytest.mark.shared
@given(
    st.lists(
        st.sampled_from(["<|endoftext|>", "<|fim_prefix|>", " ", "\n", "a", "'S", "123", "é", "中", "🙂"])
        | st.text(max_size=8)
    )
)
@settings(max_examples=100, deadline=None)
def test_ids_are_those_of_tiktoken_also_around_special_token_strings(parts):
    path = shared_data("text", "tokenizers", "cl100k_base.tiktoken")
    assert encoded(load_tokenizer(str(path)), "".join(parts)) == [peer(path).encode_ordinary("".join(parts))]


def peer(path, cache={}):  # noqa: B006
    if path not in cache:
        ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in path.read_bytes().splitlines()}
        cache[path] = tiktoken.Encoding("peer", pat_str=CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return cache[path]


def test_added_tokens_that_are_not_special_keep_their_ids(tmp_path):
    config = json.loads(trained())
    config["added_tokens"].append({**config["added_tokens"][0], "id": 400, "content": "|||EMAIL|||", "special": False})
    path = tmp_path / "added.json"
    path.write_text(json.dumps(config))
    tokenizer = load_tokenizer(str(path))
    assert tokenizer.vocab_size == 401
    assert encoded(tokenizer, "|||EMAIL|||") == [[400]]
    assert tokenizer.token_bytes()[400] == 11

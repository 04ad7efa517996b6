"""The kernel of fastText's prediction against its slow twin: the same rows, the same float32 to the last bit."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.fasttext_model import load_model
from filters.kernels.buffers import TextBuffers, text_buffers
from tests.edge_cases import EDGE_TEXTS
from tests.filters.fasttext_files import NEGATIVE, ONE_VS_ALL, SOFTMAX, TREE, write_parts
from tests.reference import fasttext as slow

WORDS = [b"</s>", b"the", b"mill", "grün".encode(), "製粉".encode(), b"__label__odd", b"a" * 200]
SCORES = {
    SOFTMAX: slow.softmax_scores,
    NEGATIVE: slow.sigmoid_scores,
    ONE_VS_ALL: slow.sigmoid_scores,
    TREE: slow.tree_scores,
}
# Name -> dimension, loss, and the parts of the model that decide which rows a text has.
MODELS = {
    "words": (3, SOFTMAX, {}),
    "characters": (16, SOFTMAX, {"num_buckets": 97, "min_chars": 2, "max_chars": 4}),
    "single characters": (8, NEGATIVE, {"num_buckets": 50, "min_chars": 1, "max_chars": 1}),
    "no shortest": (9, SOFTMAX, {"num_buckets": 50, "min_chars": 0, "max_chars": 2}),
    "word pairs": (20, ONE_VS_ALL, {"num_buckets": 1000, "max_words": 2}),
    "all": (12, TREE, {"num_buckets": 300, "min_chars": 3, "max_chars": 6, "max_words": 4}),
    "pruned": (16, TREE, {"num_buckets": 130, "min_chars": 1, "max_chars": 3, "pruned": {129: 0, 3: 2, 64: 1, 63: 3}}),
    "pruned of all": (4, SOFTMAX, {"num_buckets": 130, "min_chars": 1, "max_chars": 3, "max_words": 2, "pruned": {}}),
    "one label": (5, TREE, {"num_labels": 1}),
}
ODD_TEXTS = (
    "",
    "a",
    "the mill the mill the",
    "grün 製粉 grünes 製粉所\u3000𝔘𝔫𝔦 😀😀",
    "</s> the </s>",
    "the</s> mill </s>x",
    "__label__odd __label__0 __label__new the",
    "a" * 200 + " " + "a" * 199 + " " + "é" * 300,
    "mill\0\v\fmill\rmill\t\t \n\nmill\x1fmill\x85",
    "🙂" * 200,
    "the mill and more " * 100,
)
ALPHABET = st.sampled_from("ab <>_/s\n\0\té製😀\u3000") | st.characters(exclude_categories=["Cs"])


@functools.cache
def made(name: str):
    """(path of the model's file, the model as its slow twin has it)."""
    dimension, loss, rest = MODELS[name]
    num_labels = rest.get("num_labels", 7)
    rest = {key: value for key, value in rest.items() if key != "num_labels"}
    draw = np.random.default_rng(len(name))
    num_rows = len(WORDS) + len(rest["pruned"]) if "pruned" in rest else len(WORDS) + rest.get("num_buckets", 0)
    model = slow.Model(
        words=WORDS,
        labels=[str(number) for number in range(num_labels)],
        rows=draw.normal(size=(num_rows, dimension)).astype("f4"),
        weights=draw.normal(size=(num_labels, dimension)).astype("f4"),
        label_counts=[90, 40, 40, 9, 5, 3, 1][:num_labels],
        **rest,
    )
    path = Path(tempfile.mkdtemp()) / "model.bin"
    return write_parts(path, model, loss), model, SCORES[loss]


def buffers(texts) -> TextBuffers:
    return text_buffers(pa.array(list(texts), pa.large_string()))


def fast(name: str, text: TextBuffers, stops: bool = False):
    """(best labels and scores, scores of all labels) of each text."""
    model = load_model(made(name)[0])
    labels, scores = model.predict(text, stops)
    all_scores = [model.label_scores(text, label).tolist() for label in model.labels]
    return list(zip(labels.tolist(), scores.tolist(), strict=True)), [
        list(row) for row in zip(*all_scores, strict=True)
    ]


def expected(name: str, texts, stops: bool = False):
    _, model, scores_of = made(name)
    best, all_scores = [], []
    for text in texts:
        rows = slow.text_rows(model, text, stops)
        scores = scores_of(model, slow.mean_row(model, rows)) if rows else [0.0] * len(model.labels)
        all_scores.append(scores)
        # Of equal scores, which the steps of the sigmoid make common, the last wins; see the test with the library.
        last = len(scores) - 1 - scores[::-1].index(max(scores))
        best.append((last, max(scores)) if rows else (-1, 0.0))
    return best, all_scores


def check(name: str, texts) -> None:
    assert fast(name, buffers(texts)) == expected(name, texts)
    assert fast(name, buffers(texts), stops=True)[0] == expected(name, texts, stops=True)[0]


@pytest.mark.parametrize("name", MODELS)
def test_labels_and_scores_are_those_of_the_slow_twin(name):
    check(name, ODD_TEXTS)


def test_edge_texts_agree_with_the_slow_twin():
    texts = [text[:2000] for text in EDGE_TEXTS]
    check("all", texts)
    check("pruned", texts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(ALPHABET, max_size=40), max_size=5), st.sampled_from(["characters", "all", "pruned", "words"]))
def test_any_texts_agree_with_the_slow_twin(texts, name):
    check(name, texts)


def test_an_answer_depends_on_no_other_text():
    texts = [*ODD_TEXTS, *(f"word{number % 900} the" for number in range(3000)), *ODD_TEXTS]
    together = fast("characters", buffers(texts))
    assert together[0][: len(ODD_TEXTS)] == together[0][-len(ODD_TEXTS) :]
    assert together == expected("characters", texts[:2000] + texts[2000:])


def test_slices_chunks_and_read_only_buffers_give_the_same():
    whole = pa.array(["before", *ODD_TEXTS, "after"], pa.large_string())
    answer = fast("all", buffers(ODD_TEXTS))
    assert fast("all", text_buffers(whole.slice(1, len(ODD_TEXTS)))) == answer
    assert (
        fast("all", text_buffers(pa.chunked_array([whole.slice(1, 4), whole.slice(5, len(ODD_TEXTS) - 4)]))) == answer
    )
    assert not buffers(ODD_TEXTS).data.flags.writeable
    assert fast("all", buffers([])) == ([], [])


def test_a_word_is_hashed_as_fasttext_does():
    assert slow.hash_of(b"") == 2166136261
    assert slow.hash_of(b"a") == 0xE40C292C  # FNV-1a as published
    # Bytes from 0x80 on are sign-extended: the exclusive or changes the upper bits too.
    assert slow.hash_of(b"\x80") == ((2166136261 ^ 0xFFFFFF80) * 16777619) % 2**32

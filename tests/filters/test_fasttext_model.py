"""fastText models: complete files only, one load per process, the library's own answers."""

import math
import random
from pathlib import Path

import fasttext
import pyarrow as pa
import pytest

from filters.fasttext_model import FastTextModel, load_model
from filters.kernels.buffers import text_buffers
from filters.language import Language
from manifests.errors import InputError, ModelError
from tests.filters.fasttext_files import SKIPGRAM, write_model


def mill(folder: Path) -> str:
    """`ham` is about grain, `spam` about prizes; logits are 2 and -2, so one word alone scores 1 / (1 + e**-4)."""
    words = {"mill": (2.0, -2.0), "rye": (2.0, -2.0), "prize": (-2.0, 2.0)}
    return write_model(folder / "model.bin", words, {"ham": (1.0, 0.0), "spam": (0.0, 1.0)})


def buffers(*texts: str):
    return text_buffers(pa.array(texts, pa.large_string()))


def score(model: FastTextModel, text: str, label: str) -> float:
    return model.label_scores(buffers(text), label).item()


@pytest.mark.parametrize("kind", ["dense", "quantized"])
def test_a_complete_model_is_accepted_and_one_byte_less_or_more_is_not(tmp_path, kind):
    path = mill(tmp_path) if kind == "dense" else Language().model_path
    assert load_model(path).labels[:1] == (("ham",) if kind == "dense" else ("en",))
    data = Path(path).read_bytes()
    for length in (0, 1, 7, 8, 60, len(data) // 2, len(data) - 1):
        (tmp_path / "short.bin").write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"short\.bin: .*(Fetch|Name)"):
            load_model(str(tmp_path / "short.bin"))
    (tmp_path / "long.bin").write_bytes(data + b"\0")
    with pytest.raises(ModelError, match=r"long\.bin: holds 1 bytes after its last part\. Fetch"):
        load_model(str(tmp_path / "long.bin"))


@pytest.mark.parametrize("kind", ["dense", "quantized"])
def test_damaged_bits_are_refused_or_give_ratios_but_never_crash(tmp_path, kind):
    data = Path(mill(tmp_path) if kind == "dense" else Language().model_path).read_bytes()
    text = buffers("mill rye prize", "Die Ernte war in diesem Jahr wegen des Regens spät.", "これは日本語です")
    draw = random.Random(5)
    num_refused = 0
    for place in [*range(100), *(draw.randrange(len(data)) for _ in range(20))]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << draw.randrange(8)
        path = tmp_path / "damaged.bin"
        path.write_bytes(damaged)
        try:
            labels, scores = FastTextModel(str(path)).predict(text)
            assert ((scores >= 0) & (scores <= 1)).all()
        except ModelError:
            num_refused += 1
    assert num_refused > 20


def test_scores_are_the_softmax_of_the_mean_word(tmp_path):
    model = load_model(mill(tmp_path))
    assert model.labels == ("ham", "spam")
    labels, scores = model.predict(buffers("mill rye unknown", "prize"))
    assert labels.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([1 / (1 + math.exp(-4))] * 2, abs=2e-5)
    assert score(model, "mill prize", "ham") == pytest.approx(0.5, abs=2e-5)
    assert score(model, "mill", "spam") == pytest.approx(1 / (1 + math.exp(4)), abs=2e-5)


def test_scores_are_ratios_also_where_fasttext_says_more_than_one(tmp_path):
    path = write_model(tmp_path / "sure.bin", {"mill": (99.0,)}, {"ham": (1.0,), "spam": (-1.0,)})
    assert fasttext.load_model(path).f.predict("mill\n", 1, 0.0, "strict")[0][0] > 1.0
    assert score(load_model(path), "mill", "ham") == 1.0


def test_a_text_of_unknown_words_has_no_label(tmp_path):
    model = load_model(mill(tmp_path))
    labels, scores = model.predict(buffers("nothing known", ""))
    assert (labels.tolist(), scores.tolist()) == ([-1, -1], [0.0, 0.0])
    assert score(model, "nothing known", "ham") == 0.0


def test_an_unknown_label_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(ModelError, match=r"label 'hams' is none of its 2 labels; did you mean 'ham'\? .*: ham, spam\."):
        load_model(mill(tmp_path)).label_scores(buffers("mill"), "hams")


def test_line_ends_are_blanks(tmp_path):
    model = load_model(mill(tmp_path))
    assert score(model, "mill\nprize", "spam") == score(model, "mill prize", "spam")
    assert score(model, "mill\0prize\t\v\f\rprize", "spam") == score(model, "mill prize prize", "spam")
    assert score(model, "mill\u00a0prize mill", "spam") == score(model, "mill", "spam")


def test_the_end_of_sentence_word_ends_the_text_on_request_only(tmp_path):
    model = load_model(mill(tmp_path))
    text = buffers("mill </s> prize prize")
    assert model.predict(text)[0].tolist() == [1]
    assert model.predict(text, stops_at_end_mark=True)[0].tolist() == [0]
    assert score(model, "mill </s> prize", "spam") == score(model, "mill prize", "spam")


def test_a_file_of_another_kind_is_refused_with_its_name(tmp_path):
    (tmp_path / "notes.bin").write_text("these are notes, not a model" * 10)
    with pytest.raises(ModelError, match=r"notes\.bin: is not a fastText model"):
        load_model(str(tmp_path / "notes.bin"))


def test_word_vectors_are_refused(tmp_path):
    path = write_model(tmp_path / "vectors.bin", {"mill": (1.0,)}, {}, kind=SKIPGRAM)
    with pytest.raises(ModelError, match="holds word vectors, not a classifier"):
        load_model(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    path = write_model(tmp_path / "nan.bin", {"mill": (math.nan,)}, {"ham": (1.0,)})
    with pytest.raises(ModelError, match="weights that are no finite numbers"):
        load_model(path)
    path = write_model(tmp_path / "huge.bin", {"mill": (3e38,)}, {"ham": (3e38,), "spam": (3e38,)})
    with pytest.raises(ModelError, match="so large that scores are no numbers"):
        load_model(path).predict(buffers("mill"))


def test_a_missing_file_and_a_remote_one_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent\.bin: cannot be read"):
        load_model(str(tmp_path / "absent.bin"))
    with pytest.raises(ModelError, match="from local files only"):
        load_model("s3://models/lid.bin")


def test_a_model_is_loaded_once_for_each_content(tmp_path):
    path = mill(tmp_path)
    first = load_model(path)
    assert load_model(path) is first
    # Files in use are replaced, not written over: they are memory-mapped.
    other = write_model(
        tmp_path / "other", {"rye": (1.0, 0.0), "oat": (0.0, 1.0)}, {"rye": (1.0, 0.0), "oat": (0.0, 1.0)}
    )
    Path(other).replace(path)
    assert load_model(path).labels == ("rye", "oat")

"""fastText models: complete files only, one load per process, one line of text."""

import math
from pathlib import Path

import pytest

from filters.fasttext_model import check_model, load_model
from filters.language import Language
from manifests.errors import InputError, ModelError
from tests.filters.fasttext_files import SKIPGRAM, write_model


def mill(folder: Path) -> str:
    """`ham` is about grain, `spam` about prizes; logits are 2 and -2, so one word alone scores 1 / (1 + e**-4)."""
    words = {"mill": (2.0, -2.0), "rye": (2.0, -2.0), "prize": (-2.0, 2.0)}
    return write_model(folder / "model.bin", words, {"ham": (1.0, 0.0), "spam": (0.0, 1.0)})


@pytest.mark.parametrize("kind", ["dense", "quantized"])
def test_a_complete_model_is_accepted_and_one_byte_less_is_not(tmp_path, kind):
    path = mill(tmp_path) if kind == "dense" else Language().model_path
    check_model(path)
    data = Path(path).read_bytes()
    for length in (0, 1, 8, 60, len(data) // 2, len(data) - 1):
        (tmp_path / "short.bin").write_bytes(data[:length])
        with pytest.raises(ModelError, match="Fetch"):
            check_model(str(tmp_path / "short.bin"))


def test_scores_are_the_softmax_of_the_mean_word(tmp_path):
    model = load_model(mill(tmp_path))
    assert model.labels == ("ham", "spam")
    assert model.top("mill rye unknown") == ("ham", pytest.approx(1 / (1 + math.exp(-4)), abs=2e-5))
    assert model.label_score("mill prize", "ham") == pytest.approx(0.5, abs=2e-5)
    assert model.label_score("mill", "spam") == pytest.approx(1 / (1 + math.exp(4)), abs=2e-5)
    assert model.label_score("mill", "eggs") == 0.0


def test_a_text_of_unknown_words_has_no_label(tmp_path):
    model = load_model(mill(tmp_path))
    assert model.top("nothing known") == ("", 0.0)
    assert model.label_score("nothing known", "ham") == 0.0


def test_line_ends_and_end_of_sentence_words_do_not_end_the_text(tmp_path):
    model = load_model(mill(tmp_path))
    assert model.label_score("mill\nprize", "spam") == model.label_score("mill prize", "spam")
    assert model.label_score("mill </s> prize", "spam") == model.label_score("mill prize", "spam")
    assert model.label_score("mill", "spam") < model.label_score("mill prize", "spam")


def test_a_file_of_another_kind_is_refused_with_its_name(tmp_path):
    (tmp_path / "notes.bin").write_text("these are notes, not a model" * 10)
    with pytest.raises(ModelError, match=r"notes\.bin: is not a fastText model"):
        check_model(str(tmp_path / "notes.bin"))
    with pytest.raises(ModelError, match=r"notes\.bin: fastText cannot load it"):
        load_model(str(tmp_path / "notes.bin"))


def test_word_vectors_are_refused(tmp_path):
    path = write_model(tmp_path / "vectors.bin", {"mill": (1.0,)}, {}, kind=SKIPGRAM)
    with pytest.raises(ModelError, match="holds word vectors, not a classifier"):
        check_model(path)


def test_a_missing_file_and_a_remote_one_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent\.bin: cannot be read"):
        check_model(str(tmp_path / "absent.bin"))
    with pytest.raises(ModelError, match="fastText reads local files only"):
        check_model("s3://models/lid.bin")


def test_a_model_is_loaded_once_for_each_content(tmp_path):
    path = mill(tmp_path)
    first = load_model(path)
    assert load_model(path) is first
    write_model(Path(path), {"rye": (1.0, 0.0), "oat": (0.0, 1.0)}, {"rye": (1.0, 0.0), "oat": (0.0, 1.0)})
    assert load_model(path).labels == ("rye", "oat")

"""fastText models: complete files only, one load per process, the library's own answers."""

import json
import math
import random
from pathlib import Path

import fasttext
import pyarrow as pa
import pytest
import zstandard

from filters.fasttext_model import FastTextModel, load_model
from filters.kernels.buffers import text_buffers
from filters.language import Language
from manifests.errors import InputError, ModelError
from tests.bench.measures import web_texts
from tests.edge_cases import EDGE_TEXTS
from tests.filters.fasttext_files import SKIPGRAM, write_model
from tests.shared import shared_data


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
            _, scores = FastTextModel(str(path)).predict(text)
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


# How the library trains and quantizes the models that the tests below compare.
TRAINED = {
    "softmax": ({"loss": "softmax"}, None),
    "tree": ({"loss": "hs", "minn": 2, "maxn": 4}, None),
    "negative": ({"loss": "ns", "wordNgrams": 2}, None),
    "one_vs_all": ({"loss": "ova", "wordNgrams": 3, "minn": 1, "maxn": 2}, None),
    "quantized": ({"loss": "hs", "minn": 2, "maxn": 3}, {}),
    "quantized_norms": ({"loss": "softmax", "wordNgrams": 2}, {"qnorm": True, "dsub": 3}),
    "quantized_output": ({"loss": "ova", "minn": 1, "maxn": 3}, {"qnorm": True, "qout": True}),
    "pruned": ({"loss": "softmax", "minn": 2, "maxn": 4, "wordNgrams": 2}, {"cutoff": 300, "qnorm": True}),
    "pruned_tree": ({"loss": "hs", "minn": 2, "maxn": 4}, {"cutoff": 280, "dsub": 5}),
}
NUM_LABELS = 260  # quantizing needs at least 256 rows


def trained_lines() -> list[str]:
    draw = random.Random(1)
    stems = ["mill", "rye", "grün", "製粉", "harvest", "😀", "müller", "x", "zögern", "corn"]
    words = [f"{stem}{end}" for stem in stems for end in ("", "s", "er", "ung", "の", "2")]
    return [
        f"__label__k{number} " + " ".join(draw.choices(words[number % 40 :], k=8)) for number in range(NUM_LABELS)
    ] + [f"__label__k{draw.randrange(9)} " + " ".join(draw.choices(words, k=6)) for _ in range(200)]


def trained(folder: Path, kind: str) -> str:
    lines = folder / "lines.txt"
    lines.write_text("\n".join(trained_lines()) + "\n", "utf-8")
    arguments, quantized = TRAINED[kind]
    # Thread i fills the i-th tenth of the matrix with random numbers: with fewer, the rest is what memory held.
    settings = {"dim": 10, "epoch": 20, "lr": 0.3, "bucket": 500, "thread": 10, "verbose": 0, **arguments}
    model = fasttext.train_supervised(str(lines), **settings)
    if quantized is not None:
        model.quantize(str(lines), verbose=0, **quantized)
    path = str(folder / ("model.bin" if quantized is None else "model.ftz"))
    model.save_model(path)
    return path


def library_scores(path: str, texts) -> list[dict[str, float]]:
    """All labels' scores by the library, best first; it is asked for one line."""
    model = fasttext.load_model(path).f
    found = [model.predict(text.replace("\n", " ") + "\n", -1, 0.0, "strict") for text in texts]
    return [{name.removeprefix("__label__"): min(score, 1.0) for score, name in each} for each in found]


@pytest.mark.parametrize("kind", TRAINED)
def test_labels_and_scores_are_the_librarys(tmp_path, kind):
    path = trained(tmp_path, kind)
    texts = [*(text[:3000] for text in EDGE_TEXTS), *(line.split(" ", 1)[1] for line in trained_lines()[::9])]
    texts += ["rye </s> mill", "grünmüller __label__k1 rye __label__none", "製粉所 harvesters zögerlich"]
    model, library = load_model(path), library_scores(path, texts)
    single = fasttext.load_model(path).f
    best = [single.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict") for text in texts]
    labels, scores = model.predict(buffers(*texts), stops_at_end_mark=True)
    assert [model.labels[label] for label in labels] == [name.removeprefix("__label__") for [(_, name)] in best]
    # A library built with fused multiplication rounds otherwise; here the differences are 0.
    assert scores == pytest.approx([max(each.values()) for each in library], abs=1e-5)
    for label in model.labels[::50]:
        ours = model.label_scores(buffers(*texts[:-3]), label)
        assert ours == pytest.approx([each.get(label, 0.0) for each in library[:-3]], abs=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("source", ["passages", "web"])
def test_lid_176_names_the_languages_that_the_library_names(source):
    if source == "web":
        shared_data("web", "wet")
        texts = web_texts(1)
    else:
        with zstandard.open(shared_data("text", "langid", "passages.jsonl.zst"), "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line in file][::20]
    assert len(texts) > 300
    model, library = load_model(Language().model_path), library_scores(Language().model_path, texts)
    labels, scores = model.predict(buffers(*texts), stops_at_end_mark=True)
    assert [model.labels[label] for label in labels] == [max(each, key=each.__getitem__) for each in library]
    assert scores == pytest.approx([max(each.values()) for each in library], abs=1e-5)

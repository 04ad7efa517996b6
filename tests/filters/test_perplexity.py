"""Perplexity: hand-computable models, CCNet's normalization, buckets, and models that cannot be used."""

import base64
import importlib
import io
import pickle
import re
import subprocess
import sys
import unicodedata
import zlib

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from filters import perplexity
from filters.perplexity import Perplexity, normalized
from manifests.errors import ModelError, RecipeError
from tests.edge_cases import check_filter, measure, reasons
from tests.reference.perplexity import ccnet_normalized, perplexity_of

pytest.importorskip("kenlm", reason="kenlm is built from source, for which a C++ compiler is needed")

# log10 probabilities, and the back-off weights behind them, of a model whose sums are easy.
ARPA = """\\data\\
ngram 1=6
ngram 2=4

\\1-grams:
-2.0\t<unk>
0\t<s>\t-0.5
-1.0\t</s>
-0.5\tthe\t-0.25
-1.25\tcat\t-0.5
-1.5\tsat

\\2-grams:
-0.25\t<s> the
-0.5\tthe cat
-0.75\tcat sat
-0.25\tsat </s>

\\end\\
"""

# What `build_binary probing` of KenLM makes of ARPA; the library installed by pip has no such program.
BINARY = zlib.decompress(
    base64.b85decode(
        "c-qU&O)OBz$yLZGDJihh*U!#KO-##7%}LQq&d=3P&QD2INXswEO)OC;OD!tS%+FIW<zhg9274f}pAks>2Lg}?BUFY7OdhaD7Gs0b"
        "EDWdsB(A;asni;E>m|$}19!GRcYeTGj;;<FaOHgeSX=xcn+Z+4piXhGWm_rOPSq7P#!7bD60Dfo4}csGW$%aj1H=c?4f_}v7T80?"
        "A?}9(j!#S(EgOx6L2`{nZ$H#l*R+Dv?^?#(C$(zdHU<WV{R**D_H|9L(T13V9oUrSW!o{>6a%q7kSNJWWk^meVJHS-028@Pzy"
    )
)
# Its words, each with a null byte, come last and are not read.
NUM_WORD_BYTES = len("<unk> <s> </s> the cat sat ")


@pytest.fixture
def arpa(tmp_path):
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    return str(path)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A SentencePiece model; what it cuts where is read from itself, not assumed."""
    lines = ["the cat sat on the mat", "a dog and a cat ran", "the rain fell on the plain", "she sat there"] * 20
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    path = tmp_path_factory.mktemp("pieces") / "tiny.model"
    path.write_bytes(model.getvalue())
    return str(path)


@pytest.mark.parametrize("semantics", ["lines", "ccnet"])
@pytest.mark.parametrize("normalize", [True, False])
def test_passes_the_edge_cases(arpa, semantics, normalize):
    check_filter(Perplexity(model=arpa, semantics=semantics, normalize=normalize, max_middle=50.0, min_middle=10.0))


def test_passes_the_edge_cases_with_pieces(arpa, pieces):
    check_filter(Perplexity(model=arpa, sentencepiece=pieces))


def test_perplexity_is_that_of_words_and_end_of_sentence(arpa):
    # the cat sat </s>: 0.25 + 0.5 + 0.75 + 0.25 = 1.75 over 4; the </s>: 0.25 + (0.25 + 1.0) = 1.5 over 2.
    assert measure(Perplexity(model=arpa), "perplexity", ["the cat sat", "the"]) == [2.7, 5.6]
    # An unknown word: the back-off of <s>, 0.5, and 2.0; then </s> without context, 1.0.
    assert measure(Perplexity(model=arpa), "perplexity", ["dog"]) == [round(10 ** (3.5 / 2), 1)] == [56.2]


def test_every_line_is_a_sentence_and_blank_lines_are_none(arpa):
    lines = Perplexity(model=arpa)
    # 1.75 + 1.5 over 4 + 2 words.
    assert measure(lines, "perplexity", ["the cat sat\nthe", "\nthe cat sat\n \t\n\nthe\n"]) == [3.5, 3.5]
    assert measure(lines, "perplexity", ["the\tcat sat"]) == [2.7]


def test_ccnet_takes_the_document_as_one_sentence_and_glues_its_lines(arpa):
    ccnet = Perplexity(model=arpa, semantics="ccnet")
    glued = measure(ccnet, "perplexity", ["the\ncat sat", "the\tcat sat"])
    assert glued == measure(ccnet, "perplexity", ["thecat sat"]) * 2
    assert glued != measure(ccnet, "perplexity", ["the cat sat"])
    # "the cat \nsat": the blank before the line end stays.
    assert measure(ccnet, "perplexity", ["the cat \nsat"]) == [2.7]


def test_text_without_words_is_an_empty_sentence(arpa):
    # </s> after <s>: back-off 0.5 + 1.0.
    for semantics in ("lines", "ccnet"):
        rule = Perplexity(model=arpa, semantics=semantics)
        assert measure(rule, "perplexity", ["", " \n\n", "\t"]) == [round(10**1.5, 1)] * 3 == [31.6] * 3


def test_without_normalization_capitals_are_other_words(arpa):
    texts = ["THE CAT sat", "thé\u00a0cat sät"]
    assert measure(Perplexity(model=arpa), "perplexity", texts) == [2.7, 2.7]
    assert min(measure(Perplexity(model=arpa, normalize=False), "perplexity", texts)) > 2.7


def test_pieces_are_the_words_of_the_model(tmp_path, pieces):
    cut = sentencepiece.SentencePieceProcessor(model_file=pieces).encode_as_pieces("the cat sat")
    assert cut[0] == "▁the"
    vocabulary = sorted(set(cut))
    lines = [f"-0.5\t{piece}\t0" for piece in vocabulary]
    head = f"\\data\\\nngram 1={len(lines) + 3}\nngram 2=1\n\n\\1-grams:\n-3.0\t<unk>\n0\t<s>\t0\n-1.0\t</s>\n"
    tail = f"\n\n\\2-grams:\n-0.5\t<s> {cut[0]}\n\n\\end\\\n"
    path = tmp_path / "pieces.arpa"
    path.write_text(head + "\n".join(lines) + tail, "utf-8")
    rule = Perplexity(model=str(path), sentencepiece=pieces)
    expected = round(10 ** ((0.5 * len(cut) + 1.0) / (len(cut) + 1)), 1)
    assert measure(rule, "perplexity", ["The cat sát"]) == [expected]


def test_a_null_character_does_not_end_the_sentence(arpa):
    rule = Perplexity(model=arpa, normalize=False)
    assert measure(rule, "perplexity", ["the\0cat sat"]) == [2.7]


@given(st.lists(st.sampled_from(["the", "cat", "sat", "dog", "\n", "\n\n", "\t", "THE"]), max_size=12))
def test_equals_the_reference_on_any_text(tmp_path_factory, words):
    path = tmp_path_factory.getbasetemp() / "reference.arpa"
    path.write_text(ARPA)
    text = " ".join(words)
    for semantics in ("lines", "ccnet"):
        rule = Perplexity(model=str(path), semantics=semantics)
        assert measure(rule, "perplexity", [text]) == [perplexity_of(text, ARPA, semantics)]


@given(st.text(max_size=30))
def test_normalization_is_ccnets(text):
    assert normalized(text) == ccnet_normalized(text)


def test_normalization_of_known_marks():
    assert normalized("  «Él» – 1９…\r\nZo\u00eb\t！ ") == '"el" - 00...zoe!'
    assert normalized("ＡＢ．") == "ａｂ. "
    assert unicodedata.is_normalized("NFD", normalized("각"))


def test_the_reason_is_the_bucket(arpa):
    texts = ["the cat sat", "the", "dog"]  # 2.7, 5.6, 56.2
    head, middle, tail = "perplexity.head", "perplexity.middle", "perplexity.tail"
    assert reasons(Perplexity(model=arpa, max_middle=50.0), texts) == [None, None, tail]
    assert reasons(Perplexity(model=arpa, max_head=5.0, max_middle=50.0), texts) == [None, middle, tail]
    assert reasons(Perplexity(model=arpa, min_middle=5.0, max_middle=50.0), texts) == [head, None, tail]
    assert reasons(Perplexity(model=arpa), texts) == [None, None, None]


def test_ccnets_buckets_end_below_their_cutoff(arpa):
    texts = ["the cat sat", "the", "dog"]
    limits = {"max_head": 2.7, "max_middle": 5.6}
    assert reasons(Perplexity(model=arpa, **limits), texts) == [None, "perplexity.middle", "perplexity.tail"]
    ccnet = Perplexity(model=arpa, semantics="ccnet", **limits)
    assert reasons(ccnet, texts) == ["perplexity.middle", "perplexity.tail", "perplexity.tail"]
    middle = Perplexity(model=arpa, semantics="ccnet", min_middle=2.7, max_middle=5.6)
    assert reasons(middle, texts) == [None, "perplexity.tail", "perplexity.tail"]


def test_limits_change_no_measure_and_models_do(arpa, tmp_path):
    rule = Perplexity(model=arpa)
    assert rule.measuring() == Perplexity(model=arpa, max_head=1.0, max_middle=2.0).measuring()
    assert rule.measuring() != Perplexity(model=arpa, semantics="ccnet").measuring()
    other = tmp_path / "other.arpa"
    other.write_text(ARPA.replace("-1.25", "-1.5"))
    assert rule.measuring() != Perplexity(model=str(other)).measuring()


def test_a_changed_model_is_loaded_again(arpa):
    rule = Perplexity(model=arpa)
    assert measure(rule, "perplexity", ["dog"]) == [56.2]
    with open(arpa, "w") as file:
        file.write(ARPA.replace("-2.0\t<unk>", "-4.0000\t<unk>"))
    assert measure(rule, "perplexity", ["dog"]) == [round(10 ** (5.5 / 2), 1)]


def test_scores_are_finite_whatever_the_model_says(tmp_path):
    path = tmp_path / "wild.arpa"
    path.write_text(ARPA.replace("-2.0\t<unk>", "-1e30\t<unk>"))
    assert measure(Perplexity(model=str(path)), "perplexity", ["dog"]) == [1e300]


def test_travels_to_workers(arpa):
    rule = Perplexity(model=arpa)
    assert measure(rule, "perplexity", ["the"]) == [5.6]
    assert measure(pickle.loads(pickle.dumps(rule)), "perplexity", ["the"]) == [5.6]


@pytest.mark.parametrize("name", ["kenlm", "sentencepiece"])
def test_a_missing_library_names_the_extra(arpa, pieces, monkeypatch, name):
    def import_module(wanted):
        if wanted == name:
            raise ImportError(wanted)
        return importlib.__import__(wanted)

    monkeypatch.setattr(perplexity.importlib, "import_module", import_module)
    perplexity._loaded.cache_clear()
    with pytest.raises(RecipeError, match=rf"library {name}.*pip install 'gristmill\[perplexity\]'"):
        Perplexity(model=arpa, sentencepiece=pieces).check()


def test_a_missing_or_remote_model_is_named(arpa, tmp_path):
    missing = str(tmp_path / "none.bin")
    with pytest.raises(ModelError, match=re.escape(f"{missing}: there is no such file")):
        Perplexity(model=missing).check()
    with pytest.raises(ModelError, match=re.escape(f"{missing}: there is no such file")):
        Perplexity(model=arpa, sentencepiece=missing).check()
    with pytest.raises(ModelError, match="s3://bucket/en.bin: is remote"):
        Perplexity(model="s3://bucket/en.bin").check()


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe\xff", b"no model at all\n", ARPA.encode()[:-30]])
def test_a_damaged_model_is_named(tmp_path, arpa, content):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(f"{path}: KenLM cannot load it")):
        Perplexity(model=str(path)).check()
    with pytest.raises(ModelError, match=re.escape(f"{path}: SentencePiece cannot load it")):
        Perplexity(model=arpa, sentencepiece=str(path)).check()


def test_a_binary_model_gives_the_same_perplexities(arpa, tmp_path):
    path = tmp_path / "tiny.bin"
    path.write_bytes(BINARY)
    texts = ["the cat sat", "dog", "", "the cat\nsat the cat"]
    expected = measure(Perplexity(model=arpa), "perplexity", texts)
    assert measure(Perplexity(model=str(path)), "perplexity", texts) == expected


@pytest.mark.parametrize(("whole", "num_last_bytes"), [(ARPA.encode(), len("\\end\\\n")), (BINARY, NUM_WORD_BYTES)])
def test_no_model_cut_short_passes_or_ends_the_process(tmp_path, whole, num_last_bytes):
    """In a process of its own: a crash would be its exit code."""
    program = (
        "import sys; from filters.perplexity import Perplexity; from manifests.errors import ModelError\n"
        "data = open(sys.argv[1], 'rb').read(); refused = 0; num_cuts = len(data) - int(sys.argv[3])\n"
        "for end in range(num_cuts):\n"
        "    open(sys.argv[2], 'wb').write(data[:end])\n"
        "    try: Perplexity(model=sys.argv[2]).check()\n"
        "    except ModelError: refused += 1\n"
        "print(refused == num_cuts > 100)\n"
    )
    source, cut = tmp_path / "whole", tmp_path / "cut"
    source.write_bytes(whole)
    call = [sys.executable, "-c", program, str(source), str(cut), str(num_last_bytes)]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr[-300:]) == (0, "True\n", "")

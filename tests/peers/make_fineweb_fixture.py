"""What datatrove 0.2.0 with NLTK 3.8.1 answers about each document: run in an environment of its own, see `make peers`.

    python make_fineweb_fixture.py DOCUMENTS MODEL FIXTURE

The columns are those of make_datatrove_fixture.py and two more: words, xxh3-64 of NLTK's words of the text, each with a
line feed behind it; sentences, how many it has. A filter that divides by the number of lines or words where there are
none fails, and datatrove's task with it: its reason is then "division_by_zero".
"""

import json
import sys
from importlib import metadata
from multiprocessing import Pool
from typing import Any

import make_datatrove_fixture as peer
import nltk
import pyarrow as pa
import pyarrow.parquet as pq
from nltk.tokenize import sent_tokenize, word_tokenize

# llama-index-core 0.10 carries punkt as it was before 2024-08: pickled, which NLTK 3.8.1 reads.
NLTK_DATA = "llama_index/core/_static/nltk_cache"
SCHEMA = peer.SCHEMA.append(pa.field("words", pa.uint64())).append(pa.field("sentences", pa.int32()))


class Failing:
    """A filter that says where it divides by zero."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    def filter(self, document: Any) -> Any:
        try:
            return self.rule.filter(document)
        except ZeroDivisionError:
            return False, "division_by_zero"


def start(model: str) -> None:
    """The filters and punkt's data, in each process once."""
    nltk.data.path.insert(0, str(metadata.distribution("llama-index-core").locate_file(NLTK_DATA)))
    peer.start(model)
    peer.FILTERS.update({name: Failing(rule) for name, rule in peer.FILTERS.items()})


def answer(line: str) -> dict[str, Any]:
    """The fixture's row of one document."""
    text = json.loads(line)["text"]
    words = "".join(f"{word}\n" for word in word_tokenize(text))
    return {**peer.answer(line), "words": peer.digest(words), "sentences": len(sent_tokenize(text))}


def main() -> None:
    documents, model, fixture = sys.argv[1:]
    with open(documents, encoding="utf-8") as lines, Pool(peer.NUM_PROCESSES, start, (model,)) as pool:
        rows = list(pool.imap(answer, lines, chunksize=16))
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, fixture, compression="zstd", compression_level=19)
    dropped = len(table) - table["cascade"].null_count
    print(f"{len(table)} documents, {dropped} dropped")


if __name__ == "__main__":
    main()

"""Train a byte-level BPE tokenizer on the kept text and write it as a `tokenizer.json`.

The merges are learned by gigatoken: on 18 MB of prose they are the ones of the tokenizers library, ties included, in a
sixth of its time, and equal for one, two and three threads.
"""

import contextlib
import heapq
import os
import sys
from collections.abc import Iterable, Iterator

import gigatoken
import pyarrow as pa
import xxhash

from filters.kernels.buffers import text_buffers
from manifests.digest import canonical_json
from manifests.errors import RecipeError

END_OF_TEXT = "<|endoftext|>"
MAX_SAMPLE_BYTES = 256 * 1024 * 1024
MIN_VOCAB_SIZE = 257  # 256 bytes and the end-of-text token

# A byte that UTF-8 never has, so that no text can hold it.
SEPARATOR = b"\xff"


def trained_vocab_size(tokenizer: str) -> int | None:
    """N of the recipe's value `train:N`; None for a path.

    Raises RecipeError if N is not a number from MIN_VOCAB_SIZE to 1,000,000.
    """
    if not tokenizer.startswith("train:"):
        return None
    number = tokenizer.removeprefix("train:")
    if not (number.isascii() and number.isdigit() and MIN_VOCAB_SIZE <= int(number) <= 1_000_000):
        raise RecipeError(
            f"[tokenize] tokenizer = {tokenizer!r}: after 'train:' comes the vocabulary size, "
            f"a whole number from {MIN_VOCAB_SIZE} to 1000000, such as 'train:8000'."
        )
    return int(number)


def train_tokenizer(texts: Iterable[pa.Array], vocab_size: int, seed: int = 0) -> bytes:
    """Contents of a `tokenizer.json`: byte-level BPE of exactly vocab_size tokens, split as GPT-2 does.

    texts: batches of large_string. At most MAX_SAMPLE_BYTES of them are used: the documents with the lowest hash of
    (text, seed), so the result depends neither on their order nor on how they are batched. Id 0 to 255 are the bytes,
    256 is `<|endoftext|>` (special), then the merges. Raises RecipeError if the text has too few words for so many.
    """
    sample = SEPARATOR.join(text for _, text in sorted(_sample(texts, seed, MAX_SAMPLE_BYTES)))
    with _silenced():
        vocab, merges = gigatoken.train_bpe(sample, vocab_size, [END_OF_TEXT], separator=SEPARATOR)
    if len(vocab) != vocab_size:
        raise RecipeError(
            f"[tokenize] tokenizer = 'train:{vocab_size}': the kept text ({len(sample)} bytes) gives only {len(vocab)} "
            f"tokens. Write 'train:{len(vocab)}' or less, keep more text, or give a tokenizer file."
        )
    return _tokenizer_json(vocab, merges)


def _sample(texts: Iterable[pa.Array], seed: int, max_bytes: int) -> list[tuple[int, bytes]]:
    """(hash, text) of the documents with the lowest hashes that together have at most max_bytes; at least one."""
    kept: list[tuple[int, bytes]] = []  # a heap with the highest hash on top: hashes are stored negated
    num_bytes = 0
    for batch in texts:
        view = text_buffers(batch)
        for start, stop in zip(view.offsets[:-1].tolist(), view.offsets[1:].tolist(), strict=True):
            text = view.data[start:stop].tobytes()
            heapq.heappush(kept, (-xxhash.xxh3_64_intdigest(text, seed % (1 << 64)), text))
            num_bytes += len(text)
            while num_bytes > max_bytes and len(kept) > 1:
                num_bytes -= len(heapq.heappop(kept)[1])
    return [(-negated, text) for negated, text in kept]


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Nothing reaches the terminal: the trainer prints its progress past Python's sys.stdout."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(stream, os.dup(stream)) for stream in (1, 2)]
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream, _ in saved:
            os.dup2(sink, stream)
        yield
    finally:
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(sink)


def _byte_characters() -> list[str]:
    """The printable character that stands for each byte in byte-level vocabularies (as in GPT-2's encoder)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _tokenizer_json(vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]]) -> bytes:
    characters = _byte_characters()

    def written(token: bytes) -> str:
        return "".join(characters[byte] for byte in token)

    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end_of_text_id = next(token for token, data in vocab.items() if data == END_OF_TEXT.encode())
    end_of_text = {"id": end_of_text_id, "content": END_OF_TEXT, "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    options = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    config = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**end_of_text, **flags}],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            **options,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {written(data): token for token, data in vocab.items()},
            "merges": [[written(left), written(right)] for left, right in merges],
        },
    }
    return canonical_json(config).encode("utf-8")

"""Small tokenizer files, made in the test, and readers of the gold encodings."""

import base64
import functools
import json

import pyarrow as pa
import zstandard

from corpus.train_tokenizer import train_tokenizer

WORDS = (
    "the quick brown fox jumps over the lazy dog and the dog barks at the fox while nine small birds watch them from "
    "the old stone wall near the river, where people come every morning to see how the water runs below the bridge. "
    "Größe naïve Привет мир 你好世界 12345 print(x) <|endoftext|> don't we'll "
)


def texts(*documents):
    return pa.array(documents, pa.large_string())


@functools.cache
def trained():
    """Contents of a small tokenizer.json."""
    return train_tokenizer([texts(WORDS * 3, WORDS.upper())], 400)


def write_trained(folder):
    path = folder / "tokenizer.json"
    path.write_bytes(trained())
    return str(path)


def tiktoken_lines(tokens):
    """Contents of a .tiktoken file: {token: rank}."""
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in tokens.items())


def byte_ranks(*more):
    """{token: rank}: the 256 bytes, then more tokens."""
    tokens = [*(bytes([byte]) for byte in range(256)), *more]
    return {token: rank for rank, token in enumerate(tokens)}


def read_lines(path):
    with open(path, "rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read().decode("utf-8")
    return [json.loads(line) for line in data.split("\n") if line]

"""A real tokenizer.json of 64 tokens: 63 letters and pairs, and the token that ends a text, which has id 0."""

import json
from pathlib import Path

import tokenizers

LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789"


def write_tokenizer_json(path: Path, end_of_text: str | None = "<|endoftext|>") -> None:
    """Byte-pair merges of two letters; without end_of_text its id belongs to no token."""
    pairs = [(first, second) for first in "etaoin" for second in "etaoin"][: 63 - len(LETTERS)]
    names = [*LETTERS, *(first + second for first, second in pairs)]
    vocabulary = {name: number for number, name in enumerate(names, start=1)}
    if end_of_text is not None:
        vocabulary[end_of_text] = 0
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
    if end_of_text is not None:
        made.add_special_tokens([end_of_text])
    path.write_text(json.dumps(json.loads(made.to_str())))

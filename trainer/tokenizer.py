"""Text to token ids and back, for examples and prompts: a `tokenizer.json`, through the tokenizers library.

Text is never read as a special token: an example that contains `<|endoftext|>` is encoded as those characters.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers

from manifests import shards
from manifests.digest import digest_bytes, digest_json
from manifests.errors import ModelError

FILE = "tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """prefix and suffix: the special tokens that its post-processor puts around a text, such as [CLS] and [SEP]."""

    digest: str  # SHA-256 of the file
    vocab_size: int  # largest id + 1
    special: dict[str, int]  # special tokens but the unknown one, by text
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    library: tokenizers.Tokenizer

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens around it."""
        return [found.ids for found in self.library.encode_batch_fast(list(texts), add_special_tokens=False)]

    def special_in(self, ids: Sequence[int]) -> str | None:
        """The first special token among ids, or None. Some vocabularies read `</s>` in a text as one."""
        found = set(ids)
        return next((name for name, token in self.special.items() if token in found), None)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self.library.decode(list(ids), skip_special_tokens=True)
        return text


def load_tokenizer(uri: str) -> Tokenizer:
    """Load a tokenizer.json by path or URI; once per process and content.

    Raises ModelError if it is not there, is no tokenizer.json, or gives other tokens on each run.
    """
    try:
        data = shards.read_bytes(uri)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ModelError(f"{uri}: there is no such tokenizer. Name a {FILE} of the tokenizers library.") from None
    return _load(data, uri)


def rules_digest(uri: str) -> str:
    """SHA-256 over what decides the ids of a text: normalizer, split rule and vocabulary, not what is put around it."""
    config = _parse(shards.read_bytes(uri), uri)
    return digest_json({key: config.get(key) for key in ("normalizer", "pre_tokenizer", "model")})


@functools.lru_cache(maxsize=4)
def _load(data: bytes, uri: str) -> Tokenizer:
    config = _parse(data, uri)
    try:
        library = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
    except Exception as error:  # the library raises no narrower class
        raise ModelError(f"{uri}: is not a tokenizer.json that can be used: {error}.") from error
    library.encode_special_tokens = True
    library.no_truncation()
    library.no_padding()
    prefix, suffix = _frame(library)
    size = 1 + max(library.get_vocab(with_added_tokens=True).values(), default=-1)
    return Tokenizer(digest_bytes(data), size, _special(config), prefix, suffix, library)


def _parse(data: bytes, uri: str) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{uri}: is not a tokenizer.json: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ModelError(f"{uri}: is JSON, but has no `model`: not a tokenizer.json of the tokenizers library.")
    if config["model"].get("dropout"):
        raise ModelError(f"{uri}: has BPE dropout, which gives other tokens on each run. Set `dropout` to null in it.")
    return config


def _special(config: dict[str, Any]) -> dict[str, int]:
    """The unknown token is left out: it stands for text that the vocabulary lacks, and is no sign of anything."""
    model = config["model"]
    names = {token["content"]: int(token["id"]) for token in config.get("added_tokens") or [] if token.get("special")}
    unknown = {model.get("unk_token")}
    if isinstance(model.get("unk_id"), int):
        unknown.add(model["vocab"][model["unk_id"]][0])
    return {name: token for name, token in names.items() if name not in unknown}


def _frame(library: tokenizers.Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    plain = library.encode("a", add_special_tokens=False).ids
    framed = library.encode("a", add_special_tokens=True).ids
    places = range(len(framed) - len(plain) + 1)
    start = next(place for place in places if framed[place : place + len(plain)] == plain)
    return tuple(framed[:start]), tuple(framed[start + len(plain) :])

"""Tokenizers: load a `tokenizer.json` or a `*.tiktoken` file, and encode Arrow texts to arrays of token ids.

Two engines. gigatoken encodes byte-level BPE (Arrow buffers in, arrays out, no Python object per token). What it does
not cover (other models, normalizers, unusual split rules) goes through the tokenizers library, which is some fifty
times slower. A `tokenizer.json` goes to gigatoken only if both give the same ids on a fixed set of probes.

Text is never read as a special token: a page that contains `<|endoftext|>` is encoded as those characters.
"""

import base64
import functools
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import awkward as ak
import gigatoken
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tokenizers

from corpus import tiktoken_file
from filters.kernels.buffers import text_buffers
from manifests import shards
from manifests.errors import ModelError, RecipeError

# Names under which files keep the token that ends a document; the first that a file has as a special token is taken.
END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]", "[EOS]")

# Both engines must agree on these before gigatoken is trusted with a tokenizer.json.
PROBES = (
    "", " ", "a", "Hello, world! It's 12345678 o'clock; we'll see.", "  two\n\n\nlines\t\tand tabs \r\n end  ",
    "naïve café Cafe\u0301 Ångström", "Привет мир", "مرحبا بالعالم", "नमस्ते दुनिया", "한국어 텍스트", "1½ ² Ⅷ ٣٤٥",
    "你好,世界。日本語テキスト", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f e\u0301\u0327",
    "def f(x):\n    return {'a': [x ** 2, 0x1F]}\n", "ALLCAPS camelCase snake_case I'M WE'LL",
    "\u00a0\u2003\u3000\ufeff", "!!!???...---===", "<|endoftext|> <|im_start|> [MASK] </s>",
)  # fmt: skip

# gigatoken keeps every word it has seen (about 75 bytes each); it is loaded anew after so many tokens, so that the
# memory of a worker has a bound.
RELOAD_TOKENS = 1 << 27

# The engines make tables over all ids; a damaged file with one absurd id must not take the memory of the machine.
MAX_VOCAB_SIZE = 1 << 24

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


class Engine(Protocol):
    """Encodes and decodes; knows nothing of special tokens."""

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]: ...

    def decode(self, ids: list[int]) -> str: ...

    def token_lengths(self) -> dict[int, int] | None: ...


class GigatokenEngine:
    """Byte-level BPE on the calling thread."""

    def __init__(self, load: Callable[[], gigatoken.Tokenizer]) -> None:
        self._load = load
        self._tokenizer = load()
        self._tokens_since_load = 0

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        if self._tokens_since_load > RELOAD_TOKENS:
            self._tokenizer, self._tokens_since_load = self._load(), 0
        view = text_buffers(texts)
        characters = ak.contents.NumpyArray(view.data, parameters={"__array__": "char"})
        documents = ak.contents.ListOffsetArray(
            ak.index.Index64(view.offsets), characters, parameters={"__array__": "string"}
        )
        layout = self._tokenizer.encode_batch(ak.Array(documents), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        tokens = np.asarray(layout.content.data, np.uint32)[offsets[0] : offsets[-1]]
        self._tokens_since_load += len(tokens)
        return tokens, offsets - offsets[0]

    def decode(self, ids: list[int]) -> str:
        data: bytes = self._tokenizer.decode(ids)
        return data.decode("utf-8", errors="replace")

    def token_lengths(self) -> dict[int, int]:
        return {token: len(data) for token, data in self._tokenizer.vocab.items()}


class LibraryEngine:
    """Everything else, through the tokenizers library; makes a Python string of every document."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        documents = ["" if text is None else text for text in texts.to_pylist()]
        ids = [found.ids for found in self._tokenizer.encode_batch_fast(documents, add_special_tokens=False)]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(document) for document in ids], out=offsets[1:])
        flat = (token for document in ids for token in document)
        return np.fromiter(flat, np.uint32, int(offsets[-1])), offsets

    def decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def token_lengths(self) -> None:
        return None


@dataclass(frozen=True)
class Tokenizer:
    """A loaded tokenizer.

    vocab_size: ids are in [0, vocab_size). end_of_text_id: the file's own token (first of END_OF_TEXT that it marks
    as special; for published `.tiktoken` files the published id), else one more id at the end of the vocabulary.
    digest: SHA-256 of the file. special_ids: ids that no text gives.
    """

    kind: Literal["tokenizer.json", "tiktoken"]
    pretokenizer: str | None
    vocab_size: int
    end_of_text_id: int
    digest: str
    special_ids: frozenset[int]
    engine: Engine

    @property
    def token_type(self) -> Literal["uint16", "uint32"]:
        """The narrowest of the two types that holds every id."""
        return "uint16" if self.vocab_size <= 1 << 16 else "uint32"

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Token ids of large_string texts: tokens (num_tokens,) of token_type; offsets int64 (num_documents + 1,).

        Document i is tokens[offsets[i]:offsets[i + 1]]; nulls and empty texts have none. No special token is added,
        and special-token strings inside a text are encoded as text.
        """
        tokens, offsets = self.engine.encode(texts)
        return tokens.astype(self.token_type, copy=False), offsets

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        return self.engine.decode([int(token) for token in ids if int(token) not in self.special_ids])

    def token_bytes(self) -> npt.NDArray[np.int32] | None:
        """int32 (vocab_size,): UTF-8 bytes that each token stands for, 0 for special and unused ids.

        Summed over a document they give its bytes exactly (of the normalized text, if the file has a normalizer).
        None for tokenizers that are not byte-level: there a token has no fixed number of bytes.
        """
        lengths = self.engine.token_lengths()
        if lengths is None:
            return None
        table = np.zeros(self.vocab_size, np.int32)
        for token, length in lengths.items():
            table[token] = 0 if token in self.special_ids else length
        return table


def load_tokenizer(path: str, pretokenizer: str | None = None) -> Tokenizer:
    """Load a `tokenizer.json` or `*.tiktoken` file (path or URI); loaded once per process and content.

    pretokenizer: the split rule of a `.tiktoken` file, one of tiktoken_file.PRETOKENIZERS; not needed for published
    files, which are known by their digest. Raises ModelError, naming the file, if it is missing, empty or of another
    format; RecipeError if the pretokenizer is missing, unknown, or not for this file.
    """
    try:
        data = shards.read_bytes(path)
    except OSError as error:
        raise ModelError(
            f"{path}: the tokenizer file cannot be read: {error}. Check `tokenizer` in the recipe."
        ) from error
    if not data.strip():
        raise ModelError(f"{path}: the tokenizer file is empty. Copy it again.")
    return _load(data, path, pretokenizer)


@functools.lru_cache(maxsize=8)
def _load(data: bytes, path: str, pretokenizer: str | None) -> Tokenizer:
    if path.endswith(".tiktoken"):
        return _load_tiktoken(data, path, pretokenizer)
    if pretokenizer is not None:
        raise RecipeError(
            f"{path}: `pretokenizer` is for *.tiktoken files only; a tokenizer.json names its own. Remove it."
        )
    return _load_json(data, path)


def _load_tiktoken(data: bytes, path: str, pretokenizer: str | None) -> Tokenizer:
    ranks = tiktoken_file.parse(data, path, pretokenizer, END_OF_TEXT)

    def load() -> gigatoken.Tokenizer:
        with tempfile.NamedTemporaryFile(suffix=".tiktoken") as file:
            file.write(
                b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(ranks.tokens))
            )
            file.flush()
            return gigatoken.Tokenizer.from_tiktoken(file.name, tiktoken_file.PRETOKENIZERS[ranks.pretokenizer], {})

    beyond = range(len(ranks.tokens), ranks.vocab_size)
    special = frozenset({ranks.end_of_text_id, *ranks.unused_ids, *beyond})
    digest = hashlib.sha256(data).hexdigest()
    engine = GigatokenEngine(load)
    return Tokenizer("tiktoken", ranks.pretokenizer, ranks.vocab_size, ranks.end_of_text_id, digest, special, engine)


def _load_json(data: bytes, path: str) -> Tokenizer:
    config = _parse_json(data, path)
    digest = hashlib.sha256(data).hexdigest()
    added = config.get("added_tokens") or []
    special = {token["content"]: int(token["id"]) for token in added if token.get("special")}
    try:
        library = tokenizers.Tokenizer.from_str(json.dumps(_without_special_text(config, set(special), digest)))
        vocab_size = 1 + max([*library.get_vocab(with_added_tokens=True).values(), *special.values()], default=-1)
    except Exception as error:  # the library raises no narrower class
        raise ModelError(f"{path}: is not a tokenizer.json that can be used: {error}.") from error
    if not 0 < vocab_size <= MAX_VOCAB_SIZE:
        raise ModelError(f"{path}: the tokenizer has {vocab_size} ids; from 1 to {MAX_VOCAB_SIZE} can be used.")
    library.encode_special_tokens = True
    library.no_truncation()
    library.no_padding()
    end_of_text_id = next((special[name] for name in END_OF_TEXT if name in special), vocab_size)
    engine = _fast_engine(config, LibraryEngine(library))
    special_ids = frozenset({*special.values(), end_of_text_id})
    size = max(vocab_size, end_of_text_id + 1)
    return Tokenizer("tokenizer.json", None, size, end_of_text_id, digest, special_ids, engine)


def _parse_json(data: bytes, path: str) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: is not a tokenizer.json ({error}). Give a tokenizer.json or a *.tiktoken file."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ModelError(f"{path}: is JSON, but has no `model`: not a tokenizer.json of the tokenizers library.")
    added = config.get("added_tokens") or []
    if not isinstance(added, list) or not all(
        isinstance(token, dict) and isinstance(token.get("content"), str) and isinstance(token.get("id"), int)
        for token in added
    ):
        raise ModelError(f"{path}: `added_tokens` is not a list of tokens with `content` and `id`.")
    if config["model"].get("dropout"):
        raise ModelError(f"{path}: has BPE dropout, which gives other tokens on each run. Set `dropout` to null in it.")
    return config


def _without_special_text(config: dict[str, Any], special: set[str], digest: str) -> dict[str, Any]:
    """The same tokenizer, with special tokens that are in the model's vocabulary put under names that no text has.

    The library can treat special tokens as text, but a Unigram or word-level model would still find `</s>` as a word
    of its vocabulary. Ids stay: a token of the vocabulary keeps its place, one outside of it stays an added token.
    """
    model = dict(config["model"])
    vocab = model.get("vocab")
    entries = list(vocab) if isinstance(vocab, dict) else [entry[0] for entry in vocab or []]
    hidden = {name: f"{name}\ufdd0{digest}" for name in entries if name in special}
    if isinstance(vocab, dict):
        model["vocab"] = {hidden.get(name, name): token for name, token in vocab.items()}
    elif vocab:
        model["vocab"] = [[hidden.get(entry[0], entry[0]), *entry[1:]] for entry in vocab]
    if model.get("unk_token") in hidden:
        model["unk_token"] = hidden[model["unk_token"]]
    if model.get("merges"):
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [pair for pair in pairs if "".join(pair) not in hidden]
    added = [token for token in config.get("added_tokens") or [] if token["content"] not in hidden]
    return {**config, "model": model, "added_tokens": added, "post_processor": None}


def _fast_engine(config: dict[str, Any], library: LibraryEngine) -> Engine:
    """A GigatokenEngine if gigatoken takes the file and agrees with the library on the probes, else the library."""
    added = config.get("added_tokens") or []
    plain = [token for token in added if not token.get("special")]
    if any(token.get(flag) for token in plain for flag in ("lstrip", "rstrip", "single_word")):
        return library
    text = json.dumps({**config, "added_tokens": plain, "post_processor": None, "truncation": None, "padding": None})
    try:
        engine = GigatokenEngine(lambda: gigatoken.Tokenizer.from_json(text))
    except RuntimeError:  # gigatoken's way to say that it does not cover this file
        return library
    probes = pa.array([*PROBES, *(f"a{token['content']} b" for token in added)], pa.large_string())
    ours, theirs = engine.encode(probes), library.encode(probes)
    byte_level = isinstance(engine._tokenizer.backend, gigatoken.gigatoken_rs.BPETokenizer)
    agrees = np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])
    return engine if byte_level and agrees else library

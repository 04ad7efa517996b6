"""The `*.tiktoken` format: one token a line, its bytes in base64 and its rank.

The file names neither its split rule nor its special tokens. For the published files, known by digest, both are known;
for any other the recipe names the split rule, since a wrong one gives other tokens without any error.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from manifests.errors import ModelError, RecipeError

# One name per split rule; what gigatoken calls them.
PRETOKENIZERS = {
    "gpt2": "gpt2", "cl100k": "gpt4", "o200k": "o200k", "qwen2": "qwen2", "qwen35": "qwen35", "olmo3": "olmo3",
    "deepseek_v3": "deepseek_v3", "nemotron": "nemotron", "kimi": "kimi",
}  # fmt: skip

MAX_UNUSED_IDS = 1024


@dataclass(frozen=True)
class Published:
    """What OpenAI's tiktoken says of a file it publishes: split rule, id of `<|endoftext|>`, ids in all."""

    name: str
    pretokenizer: str
    end_of_text_id: int
    vocab_size: int


# SHA-256 of the file -> facts; digests, ids and sizes as in tiktoken 0.14, tiktoken_ext/openai_public.py.
PUBLISHED = {
    "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930": Published("r50k_base", "gpt2", 50256, 50257),
    "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069": Published("p50k_base", "gpt2", 50256, 50281),
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7": Published(
        "cl100k_base", "cl100k", 100257, 100277
    ),
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d": Published(
        "o200k_base", "o200k", 199999, 200019
    ),
}


@dataclass(frozen=True)
class Ranks:
    """A parsed file: tokens[rank] is the bytes of a token; unused_ids have filler bytes that no UTF-8 text has."""

    tokens: list[bytes]
    unused_ids: frozenset[int]
    pretokenizer: str
    end_of_text_id: int
    vocab_size: int


def parse(data: bytes, path: str, pretokenizer: str | None, end_of_text_names: Sequence[str]) -> Ranks:
    """Parse and check a file.

    Raises ModelError if it is not such a file or cannot be used, RecipeError if `pretokenizer` is missing or wrong.
    """
    published = PUBLISHED.get(hashlib.sha256(data).hexdigest())
    rule = _split_rule(published, path, pretokenizer)
    ranks = _read(data, path)
    if published is not None:
        tokens, unused = _fill(ranks, path)
        return Ranks(tokens, unused, rule, published.end_of_text_id, published.vocab_size)
    names = [name for name in end_of_text_names if name.encode() in ranks]
    end_of_text_id = ranks.pop(names[0].encode()) if names else max(ranks.values()) + 1
    tokens, unused = _fill(ranks, path)
    _check_merges(tokens, path)
    return Ranks(tokens, unused, rule, end_of_text_id, max(len(tokens), end_of_text_id + 1))


def _split_rule(published: Published | None, path: str, pretokenizer: str | None) -> str:
    choices = ", ".join(PRETOKENIZERS)
    if pretokenizer is not None and pretokenizer not in PRETOKENIZERS:
        raise RecipeError(f"[tokenize] pretokenizer = {pretokenizer!r} is not known; choose one of {choices}.")
    if published is not None and pretokenizer not in (None, published.pretokenizer):
        raise RecipeError(
            f"{path}: is {published.name}, whose pretokenizer is {published.pretokenizer!r}, not {pretokenizer!r}. "
            "Remove `pretokenizer` from [tokenize]."
        )
    if published is not None:
        return published.pretokenizer
    if pretokenizer is None:
        raise RecipeError(
            f"{path}: a .tiktoken file does not say how text is split before merging, and this one is not a published "
            f"one. Set `pretokenizer` in [tokenize] to one of {choices}."
        )
    return pretokenizer


def _read(data: bytes, path: str) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            encoded, rank = line.split()
            token = base64.b64decode(encoded, validate=True)
            ranks_before = len(ranks)
            ranks[token] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ModelError(
                f"{path}: line {number} is not `base64 rank`: not a .tiktoken file, or damaged."
            ) from error
        if len(ranks) == ranks_before or not token or ranks[token] < 0:
            raise ModelError(
                f"{path}: line {number} repeats a token, is empty or has a negative rank. Copy the file again."
            )
    if len(set(ranks.values())) != len(ranks):
        raise ModelError(f"{path}: two tokens have the same rank. Copy the file again.")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ModelError(f"{path}: has no token for byte 0x{missing[0]:02x}: cut off, or not a byte-level vocabulary.")
    return ranks


def _fill(ranks: dict[bytes, int], path: str) -> tuple[list[bytes], frozenset[int]]:
    """Tokens by rank, with runs of byte 0xFF, which UTF-8 never has, where no token has the rank (p50k_base: 50256)."""
    by_rank = {rank: token for token, rank in ranks.items()}
    size = max(by_rank) + 1
    if size - len(by_rank) > MAX_UNUSED_IDS:
        raise ModelError(
            f"{path}: {size - len(by_rank)} ranks below {size} have no token; at most {MAX_UNUSED_IDS} may."
        )
    unused = [rank for rank in range(size) if rank not in by_rank]
    for index, rank in enumerate(unused):
        by_rank[rank] = b"\xff" * (index + 2)
    return [by_rank[rank] for rank in range(size)], frozenset(unused)


def _check_merges(tokens: list[bytes], path: str) -> None:
    """Each token must be what two tokens of lower rank merge to; else the engine cannot build its merge table."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    for rank, token in enumerate(tokens):
        if len(token) > 1 and _num_parts(token, ranks, rank) != 2:
            raise ModelError(
                f"{path}: the token of rank {rank} ({token[:32]!r}) is not made by tokens of lower rank, so no text "
                "gives it. Give the tokenizer.json of this tokenizer instead."
            )


def _num_parts(token: bytes, ranks: dict[bytes, int], limit: int) -> int:
    """Parts that are left when the pairs of a token's bytes are merged by rank, using ranks below limit only."""
    parts = [token[index : index + 1] for index in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        best = min(pairs)
        if best >= limit:
            break
        index = pairs.index(best)
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    return len(parts)

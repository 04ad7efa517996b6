"""The tokens that masked objectives need and most corpora's tokenizers do not have: [MASK], [CLS] and [SEP]."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from manifests import shards

NAMES = ("[MASK]", "[CLS]", "[SEP]")


@dataclass(frozen=True)
class SpecialIds:
    """Numbers of [MASK], [CLS] and [SEP]."""

    mask: int
    classify: int
    separate: int

    @classmethod
    def of(cls, special: Mapping[str, int], vocab_size: int) -> "SpecialIds":
        """Those of a tokenizer with these special tokens; if it lacks one, the three numbers after its vocabulary."""
        if all(name in special for name in NAMES):
            return cls(*(special[name] for name in NAMES))
        return cls(vocab_size, vocab_size + 1, vocab_size + 2)

    def num_tokens(self, vocab_size: int) -> int:
        """Tokens of a vocabulary with these."""
        return max(vocab_size, self.mask + 1, self.classify + 1, self.separate + 1)


def read_special(tokenizer: str) -> dict[str, int]:
    """The special tokens of a tokenizer.json, by text; {} for a file of another kind, which has only end of text."""
    if not tokenizer.endswith(".json"):
        return {}
    content = json.loads(shards.read_bytes(tokenizer))
    return {token["content"]: token["id"] for token in content.get("added_tokens") or [] if token.get("special")}

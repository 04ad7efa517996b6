"""The tokenizer of a run as transformers reads it: tokenizer.json with the token that ends a text, and its settings."""

import json
from typing import Any

import tokenizers

from manifests import shards
from manifests.errors import ModelError
from trainer.tokenizer import FILE

SETTINGS = "tokenizer_config.json"
# The name that the token gets where the file has none for it.
END_OF_TEXT = "<|endoftext|>"


def write_tokenizer(uri: str, end_of_text_id: int, length: int, as_in_corpus: bool, out: str) -> None:
    """Write tokenizer.json and tokenizer_config.json below `out`: AutoTokenizer then gives the ids of the run.

    as_in_corpus: texts were encoded without special tokens around them, so none are added. length: of the context, in
    tokens. Raises ModelError if the file is no tokenizer.json or cannot hold the token that ends a text.
    """
    content = _read(uri)
    name = _name_end_of_text(content, end_of_text_id)
    content["truncation"] = content["padding"] = None
    if as_in_corpus:
        content["post_processor"] = _without_special(content)
    text = json.dumps(content, ensure_ascii=False)
    found = tokenizers.Tokenizer.from_str(text).token_to_id(name)
    if found != end_of_text_id:
        raise ModelError(
            f"{uri}: gives the token {name!r} the id {found}, the run ends texts with id {end_of_text_id}."
        )
    shards.write_bytes(shards.join(out, FILE), text.encode("utf-8"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": name,
        "pad_token": name,
        "model_max_length": length,
        "clean_up_tokenization_spaces": False,
    }
    shards.write_bytes(shards.join(out, SETTINGS), (json.dumps(settings, indent=2) + "\n").encode("utf-8"))


def _read(uri: str) -> dict[str, Any]:
    if not uri.endswith(".json"):
        raise ModelError(
            f"{uri}: only a {FILE} can be exported. Write this vocabulary as one (transformers.convert_slow_tokenizer."
            f"TikTokenConverter) and put it into the run's folder as {FILE}."
        )
    try:
        content: dict[str, Any] = json.loads(shards.read_bytes(uri))
        tokenizers.Tokenizer.from_str(json.dumps(content))
    except FileNotFoundError:
        raise ModelError(f"{uri}: there is no such tokenizer. Put it into the run's folder as {FILE}.") from None
    except Exception as error:  # the library raises no narrower class
        raise ModelError(f"{uri}: is not a {FILE} that can be used: {error}.") from error
    return content


def _name_end_of_text(content: dict[str, Any], end_of_text_id: int) -> str:
    """The text of the token with this id; without one it is added to the content."""
    added = content.setdefault("added_tokens", [])
    for token in added:
        if token["id"] == end_of_text_id:
            return str(token["content"])
    added.append({
        "id": end_of_text_id, "content": END_OF_TEXT, "special": True,
        "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
    })  # fmt: skip
    return END_OF_TEXT


def _without_special(content: dict[str, Any]) -> Any:
    """The post-processor, or None if it puts tokens around a text."""
    library = tokenizers.Tokenizer.from_str(json.dumps(content))
    adds = library.num_special_tokens_to_add(is_pair=False) > 0
    return None if adds else content.get("post_processor")

"""What fine-tuning starts from, as far as the rows of its examples depend on it: tokenizer, end of text, lengths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from manifests import manifest as corpus_manifest
from manifests import shards
from manifests.digest import digest_json
from manifests.errors import InputError, ManifestMismatch, ModelError, RecipeError
from trainer import checkpoint
from trainer.checkpoint import NamedModel, State
from trainer.config import CORPUS_OBJECTIVES, TrainConfig
from trainer.llama_layout import CONFIG, GENERATION, read_config, read_json
from trainer.tokenizer import FILE, Tokenizer, load_tokenizer

TEACHER = "distill.teacher"


@dataclass(frozen=True)
class Origin:
    """`folder`: the checkpoint's or the Hugging Face folder; None from scratch.

    max_length: tokens that the model can see, None where nothing says so.
    """

    kind: Literal["scratch", "checkpoint", "hugging_face"]
    folder: str | None
    tokenizer: Tokenizer
    tokenizer_uri: str
    end_of_text_id: int
    vocab_size: int
    max_length: int | None = None


def find_init(init: str) -> tuple[Literal["checkpoint", "hugging_face"], str]:
    """Which kind of model a path names, and its folder: of a run the last checkpoint. Raises InputError if it is none.

    init: a checkpoint, a run, or a folder in the Hugging Face layout.
    """
    if shards.exists(shards.join(init, checkpoint.STATE)):
        return "checkpoint", init
    latest = checkpoint.latest_checkpoint(init)
    if latest is not None:
        return "checkpoint", latest
    if shards.exists(shards.join(init, CONFIG)):
        return "hugging_face", init
    raise InputError(
        f"init {init!r}: is no checkpoint, no run with a checkpoint, and no folder with {CONFIG}. "
        "Name one of these on this machine."
    )


def named_models(config: TrainConfig, state: State | None) -> dict[str, NamedModel]:
    """The models that init and distill.teacher name: of the first start (state None), or of the one that state tells.

    Raises InputError where there is none, ManifestMismatch if one that a resumed run still needs has changed since.
    """
    if state is None:
        folders = {key: find_init(name)[1] for key, name in _names(config).items()}
        return {key: NamedModel(folder=folder, digest=_digest(folder)) for key, folder in folders.items()}
    for key in _needed(config) & state.named_models.keys():
        known = state.named_models[key]
        found = _digest(known.folder)
        if found != known.digest:
            raise ManifestMismatch(
                f"{key} {known.folder}: at the first start of this run it had the digest {known.digest}, now has "
                f"{found}. Put it back (a base run needs a larger keep_checkpoints), or give another --out."
            )
    return state.named_models


def fixed(config: TrainConfig, named: Mapping[str, NamedModel]) -> TrainConfig:
    """The config with the folders of these models in the place of their names, where the objective needs them."""
    folders = {key: named[key].folder for key in _needed(config) & named.keys()}
    changes: dict[str, object] = {"init": folders["init"]} if "init" in folders else {}
    if config.distill is not None and TEACHER in folders:
        changes["distill"] = config.distill.model_copy(update={"teacher": folders[TEACHER]})
    return config.model_copy(update=changes)


def _names(config: TrainConfig) -> dict[str, str]:
    names = {"init": config.init, TEACHER: None if config.distill is None else config.distill.teacher}
    return {key: name for key, name in names.items() if name is not None}


def _needed(config: TrainConfig) -> set[str]:
    """Keys of the models that every step reads: a teacher, and the reference that preferences are compared with."""
    has_reference = config.objective == "preference" and config.lora is None
    return {TEACHER} | ({"init"} if has_reference else set())


def _digest(folder: str) -> str:
    """Of what decides a model: state.json, which holds the digests of its files, or config.json and safetensors."""
    if shards.exists(shards.join(folder, checkpoint.STATE)):
        return shards.file_digest(shards.join(folder, checkpoint.STATE))
    files = [path for path in shards.list_files(folder) if path == CONFIG or path.endswith(".safetensors")]
    return digest_json([[path, shards.file_digest(shards.join(folder, path))] for path in sorted(files)])


def read_origin(config: TrainConfig) -> Origin:
    """The origin that config.init names.

    Raises InputError, ModelError and RecipeError with what is missing, IntegrityError where JSON is damaged.
    """
    if config.init is None:
        return _scratch(config)
    kind, folder = find_init(config.init)
    return _from_checkpoint(folder, config) if kind == "checkpoint" else _from_hugging_face(folder, config)


def read_hugging_face_config(folder: str) -> dict[str, Any]:
    """config.json of a folder in the Hugging Face layout. Raises as read_config, ModelError if it names no model."""
    found = read_config(folder)
    if "model_type" not in found:
        raise ModelError(f"{folder}/{CONFIG}: has no key model_type: not a model's config of the transformers library.")
    return found


def longest(facts: dict[str, Any]) -> int | None:
    """Tokens that a model of this config.json can see; None where its positions have no end."""
    text = facts.get("text_config") or facts
    if facts.get("relative_attention_num_buckets"):  # T5 writes n_positions, but its positions are relative
        return None
    lengths = (text.get(key) for key in ("max_position_embeddings", "n_positions"))
    return next((length for length in lengths if isinstance(length, int)), None)


def is_seq2seq(config: TrainConfig) -> bool:
    """True if the run starts from an encoder-decoder, whose encoder reads prompts and whose decoder learns answers."""
    if config.init is None or config.objective in CORPUS_OBJECTIVES or config.objective == "classification":
        return False
    kind, folder = find_init(config.init)
    if kind == "hugging_face":
        return bool(read_hugging_face_config(folder).get("is_encoder_decoder"))
    architecture = checkpoint.read_state(folder).architecture
    return architecture is not None and architecture.kind == "seq2seq"


def _scratch(config: TrainConfig) -> Origin:
    uri = config.examples.tokenizer
    if uri is None:
        raise RecipeError(
            "examples need a tokenizer: set init to the model to start from, or, to train from scratch, "
            f"examples.tokenizer to a {FILE} or to a corpus whose tokenizer is taken."
        )
    end_of_text_id = None
    if not uri.endswith(".json") or uri.endswith(corpus_manifest.NAME):
        manifest = corpus_manifest.read_manifest(uri)
        end_of_text_id = manifest.tokenizer.end_of_text_id
        uri = shards.join(corpus_manifest.corpus_root(uri), manifest.tokenizer.path)
    tokenizer = _load(uri)
    if end_of_text_id is None:
        end_of_text_id = _end_of_text(tokenizer, uri)
    size = config.model.vocab_size or max(tokenizer.vocab_size, end_of_text_id + 1)
    if size < max(tokenizer.vocab_size, end_of_text_id + 1):
        raise RecipeError(f"model.vocab_size is {size}, the tokenizer {uri} has {tokenizer.vocab_size} ids.")
    return Origin("scratch", None, tokenizer, uri, end_of_text_id, size)


def _from_checkpoint(folder: str, config: TrainConfig) -> Origin:
    state = checkpoint.read_state(folder)
    uri = config.examples.tokenizer or shards.join(checkpoint.run_folder(folder), FILE)
    tokenizer = _load(uri)
    _check_fits(tokenizer, state.vocab_size, uri, folder)
    return Origin("checkpoint", folder, tokenizer, uri, state.end_of_text_id, state.vocab_size, state.length)


def _from_hugging_face(folder: str, config: TrainConfig) -> Origin:
    facts = read_hugging_face_config(folder)
    uri = config.examples.tokenizer or shards.join(folder, FILE)
    if not shards.exists(uri):
        raise ModelError(
            f"{uri}: there is no such file. A folder with a sentencepiece or vocab.txt tokenizer alone is converted by "
            f"transformers.AutoTokenizer.from_pretrained({folder!r}).save_pretrained({folder!r})."
        )
    tokenizer = _load(uri)
    text = facts.get("text_config") or facts
    size = text.get("vocab_size")
    if not isinstance(size, int):
        raise ModelError(f"{folder}/{CONFIG}: has no vocab_size: this kind of model cannot be fine-tuned.")
    _check_fits(tokenizer, size, uri, folder)
    end_of_text_id = _hugging_face_end(folder, facts, tokenizer)
    return Origin("hugging_face", folder, tokenizer, uri, end_of_text_id, size, longest(facts))


def _hugging_face_end(folder: str, facts: dict[str, Any], tokenizer: Tokenizer) -> int:
    """Models without an end of text, such as BERT, end a text with the suffix of their tokenizer."""
    generation = shards.join(folder, GENERATION)
    also = read_json(generation) if shards.exists(generation) else {}
    for found in (facts.get("eos_token_id"), also.get("eos_token_id")):
        first = found[0] if isinstance(found, list) and found else found
        if isinstance(first, int):
            return first
    if tokenizer.suffix:
        return tokenizer.suffix[-1]
    return _end_of_text(tokenizer, f"{folder}/{FILE}")


def _end_of_text(tokenizer: Tokenizer, uri: str) -> int:
    names = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]", "[EOS]")
    found = next((tokenizer.special[name] for name in names if name in tokenizer.special), None)
    if found is None:
        raise ModelError(f"{uri}: has no special token that ends a text; one of {', '.join(names)} is needed.")
    return found


def _load(uri: str) -> Tokenizer:
    if uri.endswith(".tiktoken"):
        raise ModelError(
            f"{uri}: examples are encoded with a {FILE}; this model's corpus was built with a .tiktoken file. "
            "Name the same vocabulary as a tokenizer.json in examples.tokenizer."
        )
    return load_tokenizer(uri)


def _check_fits(tokenizer: Tokenizer, vocab_size: int, uri: str, folder: str) -> None:
    if tokenizer.vocab_size > vocab_size:
        raise ModelError(
            f"{uri}: has {tokenizer.vocab_size} tokens, the model {folder} has {vocab_size}: not its tokenizer. "
            "Remove examples.tokenizer, or name the model's own."
        )

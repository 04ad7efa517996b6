"""Our decoder in the Hugging Face layout: config.json, generation_config.json and safetensors, both ways, exactly.

Names and shapes of weights are those of LlamaForCausalLM, and so is every operation; what differs between models of
that shape is in config.json. A config that asks for anything that our decoder does not compute is refused by name.
Safetensors only: a pickled file can run code when it is read.
"""

import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor

from manifests import shards
from manifests.errors import InputError, IntegrityError
from trainer import int8
from trainer.config import ModelConfig
from trainer.model import INIT_STD, Decoder

CONFIG, GENERATION = "config.json", "generation_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_FILE_BYTES = 5_000_000_000

ARCHITECTURE = "LlamaForCausalLM"
NEEDED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings",
)  # fmt: skip
# Keys that change what is computed, with the only values that we compute; None also stands for a key that is not there.
ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", None),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "quantization_config": (None,),
    "rope_scaling": (None,),
    "pretraining_tp": (1, None),
}


def llama_config(model: Decoder, vocab_size: int, length: int, end_of_text_id: int) -> dict[str, Any]:
    """config.json of a decoder. vocab_size: rows of its embedding matrix; length: longest context in tokens."""
    config = model.config
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.width // config.heads,
        "hidden_act": "silu",
        "max_position_embeddings": length,
        "rms_norm_eps": config.norm_epsilon,
        # Versions of transformers before 5, and most other programs, read rope_theta; later ones rope_parameters.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": INIT_STD,
        "bos_token_id": None,
        "eos_token_id": end_of_text_id,
        "pad_token_id": None,
    }


def write_model(
    model: Decoder, length: int, end_of_text_id: int, out: str, max_file_bytes: int = MAX_FILE_BYTES
) -> int:
    """Write config.json, generation_config.json and fp32 safetensors below `out`; returns the bytes of all weights.

    Weights beyond max_file_bytes are spread over several files with an index. A tied output matrix is not written.
    Raises StorageError if a file cannot be written.
    """
    weights = {name: tensor.detach().float().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_configs(model, length, end_of_text_id, out)
    parts = _parts(weights, max_file_bytes)
    if len(parts) == 1:
        write_tensors(shards.join(out, WEIGHTS), weights, {"format": "pt"})
    else:
        names = [f"model-{number:05d}-of-{len(parts):05d}.safetensors" for number in range(1, len(parts) + 1)]
        for name, part in zip(names, parts, strict=True):
            write_tensors(shards.join(out, name), part, {"format": "pt"})
        places = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
        write_json(shards.join(out, INDEX), {"metadata": {"total_size": _num_bytes(weights)}, "weight_map": places})
    return _num_bytes(weights)


def write_configs(model: Decoder, length: int, end_of_text_id: int, out: str) -> None:
    """Write config.json and generation_config.json: everything but the weights and the tokenizer."""
    assert model.model.embed_tokens is not None  # a whole model, not a stage of a pipeline
    facts = llama_config(model, model.model.embed_tokens.num_embeddings, length, end_of_text_id)
    write_json(shards.join(out, CONFIG), facts)
    write_json(shards.join(out, GENERATION), {"eos_token_id": end_of_text_id})


def why_not_ours(facts: Mapping[str, Any]) -> str | None:
    """The first thing in a config.json that our decoder does not compute; None if it computes the model exactly."""
    if facts.get("model_type") != "llama" or facts.get("architectures") != [ARCHITECTURE]:
        return (
            f"it is {facts.get('architectures')} of type {facts.get('model_type')!r}, only {ARCHITECTURE} is computed"
        )
    missing = [key for key in NEEDED if not isinstance(facts.get(key), int)]
    if missing:
        return f"{missing[0]} is not in its {CONFIG}"
    for key, values in ONLY.items():
        if facts.get(key) not in values:
            return f"{key} is {facts[key]!r}, only {values[0]!r} is computed"
    rope = facts.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default" or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return f"rope_parameters are {rope}, only rope_type 'default' over whole heads is computed"
    heads, width = facts["num_attention_heads"], facts["hidden_size"]
    if (facts.get("head_dim") or width // heads) * heads != width:
        return f"head_dim {facts.get('head_dim')} * {heads} heads is not the width {width}"
    return None


def import_model(folder: str) -> tuple[Decoder, dict[str, Any]]:
    """The model of a folder in the Hugging Face layout as our decoder in fp32 on the CPU, and its config.json.

    Raises InputError if the folder is none, has no safetensors, or is a model that our decoder does not compute
    exactly; IntegrityError if weights are missing, left over, of another shape or damaged.
    """
    facts = read_config(folder)
    reason = why_not_ours(facts)
    if reason is not None:
        raise InputError(f"{folder}: cannot become a decoder of ours: {reason}.")
    weights = read_weights(folder)
    model = Decoder(_model_config(folder, facts), facts["vocab_size"], seed=0)
    _load(folder, model, weights)
    return model, facts


def read_config(folder: str) -> dict[str, Any]:
    """config.json of a folder. Raises InputError if there is none, IntegrityError if it is not a JSON object."""
    uri = shards.join(folder, CONFIG)
    if not shards.exists(uri):
        raise InputError(f"{uri}: there is no such file. Name a folder in the Hugging Face layout.")
    return read_json(uri)


def read_weights(folder: str) -> dict[str, Tensor]:
    """All weights of a folder by name, of the stored type; int8 ones as the fp32 that they stand for.

    Raises InputError if the folder has none.
    """
    index, single, small = (shards.join(folder, name) for name in (INDEX, WEIGHTS, int8.WEIGHTS))
    if shards.exists(index):
        names = sorted(set(read_json(index)["weight_map"].values()))
        return {key: tensor for name in names for key, tensor in read_tensors(shards.join(folder, name)).items()}
    if shards.exists(single):
        return read_tensors(single)
    if shards.exists(small):
        return int8.dequantize(read_tensors(small))
    raise InputError(_no_weights(folder))


def read_tensors(uri: str) -> dict[str, Tensor]:
    """The tensors of one safetensors file. Raises IntegrityError if it is damaged or not there."""
    try:
        found: dict[str, Tensor] = safetensors.torch.load(shards.read_bytes(uri))
        return found
    except FileNotFoundError:
        raise IntegrityError(f"{uri}: is named in {INDEX} but is not there. Copy the folder again.") from None
    except safetensors.SafetensorError as error:
        raise IntegrityError(f"{uri}: is not a whole safetensors file ({error}). Copy it again.") from error


def write_tensors(uri: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> int:
    """Write one safetensors file; returns its size in bytes."""
    return shards.write_bytes(uri, safetensors.torch.save(tensors, metadata=metadata)).bytes


def write_json(uri: str, content: object) -> None:
    """Write JSON for people to read too."""
    shards.write_bytes(uri, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def read_json(uri: str) -> dict[str, Any]:
    """A JSON object. Raises IntegrityError if it is none."""
    try:
        content = json.loads(shards.read_bytes(uri))
    except ValueError as error:
        raise IntegrityError(f"{uri}: is not JSON ({error}). Copy it again.") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{uri}: is not a JSON object. Copy it again.")
    return content


def _model_config(folder: str, facts: Mapping[str, Any]) -> ModelConfig:
    heads = facts["num_attention_heads"]
    theta = (facts.get("rope_parameters") or facts).get("rope_theta")
    try:
        return ModelConfig(
            layers=facts["num_hidden_layers"],
            width=facts["hidden_size"],
            heads=heads,
            kv_heads=facts.get("num_key_value_heads") or heads,
            hidden=facts["intermediate_size"],
            rope_theta=float(theta or 10_000.0),
            norm_epsilon=float(facts.get("rms_norm_eps", 1e-6)),
            tied=bool(facts.get("tie_word_embeddings", False)),
        )
    except ValidationError as error:
        raise InputError(f"{folder}/{CONFIG}: does not describe a decoder: {error}.") from error


def _load(folder: str, model: Decoder, weights: dict[str, Tensor]) -> None:
    """Copy the weights into the model; each name and shape must be there, and nothing else."""
    # Files of years past hold the frequencies of the rotary positions, which follow from the config.
    found = {name: tensor for name, tensor in weights.items() if not name.endswith("rotary_emb.inv_freq")}
    output = found.pop("lm_head.weight", None) if model.config.tied else None
    if output is not None and not torch.equal(output, found["model.embed_tokens.weight"]):
        raise IntegrityError(f"{folder}: tie_word_embeddings is true, but the output matrix is not the embeddings.")
    expected = model.state_dict()
    for name in sorted(expected.keys() ^ found.keys()):
        state = "is missing in" if name in expected else "is left over in"
        raise IntegrityError(f"{folder}: weight {name} {state} the safetensors. Copy the folder again.")
    for name, tensor in expected.items():
        stored = found[name]
        if stored.shape != tensor.shape or not stored.is_floating_point():
            raise IntegrityError(
                f"{folder}: weight {name} is {stored.dtype} of shape {tuple(stored.shape)}, {CONFIG} makes it "
                f"{tuple(tensor.shape)}."
            )
    model.load_state_dict({name: tensor.float() for name, tensor in found.items()})


def _parts(weights: dict[str, Tensor], max_file_bytes: int) -> list[dict[str, Tensor]]:
    """The weights in order, cut where the next one would make a file larger than max_file_bytes."""
    parts: list[dict[str, Tensor]] = [{}]
    for name, tensor in weights.items():
        if parts[-1] and _num_bytes(parts[-1]) + tensor.nbytes > max_file_bytes:
            parts.append({})
        parts[-1][name] = tensor
    return parts


def _num_bytes(weights: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in weights.values())


def _no_weights(folder: str) -> str:
    pickled = [path for path in shards.list_files(folder) if path.endswith((".bin", ".pt", ".pth"))]
    if not pickled:
        return f"{folder}: has no {WEIGHTS}. Is it a folder in the Hugging Face layout?"
    return (
        f"{folder}: has {pickled[0]} and no {WEIGHTS}. A pickled file can run code when it is read, so it is not read. "
        "Where you trust it, write it anew: transformers.AutoModelForCausalLM.from_pretrained(FOLDER)"
        ".save_pretrained(NEW)."
    )

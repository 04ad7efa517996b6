"""Text from a checkpoint, as token ids; the caller has the tokenizer."""

import torch

from manifests.errors import RecipeError
from trainer.checkpoint import read_model
from trainer.evaluation.scoring import evaluation_mode


def generate(checkpoint_dir: str, prompt_ids: list[int], num_tokens: int, temperature: float, seed: int) -> list[int]:
    """Up to num_tokens ids that follow the prompt; fewer where the model ends the text.

    prompt_ids: at least one id in [0, vocab_size); only the last `length` of prompt and text are seen by the model.
    temperature 0 takes the likeliest token, 1 samples from the model's distribution. Equal arguments give equal ids.
    Raises RecipeError for a prompt or temperature out of range, InputError if there is no checkpoint.
    """
    model, state = read_model(checkpoint_dir)
    _check(prompt_ids, temperature, state.vocab_size)
    generator = torch.Generator().manual_seed(seed)
    ids = list(prompt_ids)
    with evaluation_mode(model):
        for _ in range(num_tokens):
            context = torch.tensor([ids[-state.length :]])
            logits_V = model(context, torch.zeros_like(context))[0, -1]
            following = _choose(logits_V, temperature, generator)
            if following == state.end_of_text_id:
                break
            ids.append(following)
    return ids[len(prompt_ids) :]


def _choose(logits_V: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities = torch.softmax(logits_V / temperature, dim=-1)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _check(prompt_ids: list[int], temperature: float, vocab_size: int) -> None:
    if not prompt_ids:
        raise RecipeError("the prompt is empty: the model continues a text, give it at least one token.")
    outside = [token for token in prompt_ids if not 0 <= token < vocab_size]
    if outside:
        raise RecipeError(
            f"the prompt has token {outside[0]}, the model knows 0 to {vocab_size - 1}. "
            "Encode it with the tokenizer of the corpus that the model was trained on."
        )
    if temperature < 0:
        raise RecipeError(f"temperature is {temperature}: give 0 for the likeliest token, or a positive number.")

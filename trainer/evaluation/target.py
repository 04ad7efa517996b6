"""What is evaluated: a run's last checkpoint, one checkpoint of a run, or a folder in the Hugging Face layout."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from manifests import shards
from manifests.digest import digest_json
from manifests.errors import InputError, ManifestMismatch, RecipeError
from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.data import Data, open_data, open_run_data
from trainer.evaluation.scoring import LanguageModel, Tokenizer, rows_per_pass
from trainer.evaluation.slices import SliceSums, sums_by_slice
from trainer.llama_layout import import_model, read_config, why_not_ours
from trainer.objectives import make_objective
from trainer.objectives.causal import Causal
from trainer.origin import find_init, fixed, read_origin
from trainer.run_files import RunFacts, read_run
from trainer.tokenizer import rules_digest

LoadTokenizer = Callable[[str], Tokenizer]  # by the URI of its file

MAX_LENGTH = 2048  # of windows, in tokens: some models allow so many that one row would fill the memory


@dataclass(frozen=True)
class Target:
    """A model in fp32 on a device. run, data: of a checkpoint; tokenizer_uri: its file; step: of the checkpoint."""

    folder: str
    model: nn.Module
    device: torch.device
    vocab_size: int
    length: int
    end_of_text_id: int
    tokenizer_uri: str
    start_id: int | None = None
    run: RunFacts | None = None
    data: Data | None = None
    step: int | None = None

    @property
    def rows(self) -> int:
        """Rows of `length` tokens in one forward pass."""
        return rows_per_pass(self.vocab_size, self.length)

    def language_model(self, load: LoadTokenizer) -> LanguageModel:
        """The model with its tokenizer. Raises RecipeError for one that does not predict the next token."""
        kind = getattr(getattr(self.model, "architecture", None), "kind", "decoder")
        objective = self.run.config.objective if self.run is not None else "causal"
        if kind not in ("decoder", "causal") or objective in ("masked", "next_sentence", "classification"):
            raise RecipeError(
                f"{self.folder}: texts, choices, generation and bias pairs need a model that predicts the next token; "
                f"this one was made for {objective!r}. Its validation rows can be evaluated without them."
            )
        tokenizer = load(self.tokenizer_uri)
        return LanguageModel(
            self.model, tokenizer, self.length, self.end_of_text_id, self.start_id, self.rows, self.device
        )

    def validation(self) -> SliceSums | None:
        """Losses on the rows that the run reserved, by its own objective; None without a run, or without such rows."""
        if self.run is None or self.data is None or self.data.validation is None:
            return None
        state = checkpoint.read_state(self.folder)
        # Without a teacher, as in training, and against the reference that the run had.
        config = fixed(state.config.model_copy(update={"distill": None}), state.named_models)
        objective = make_objective(config, self.data)
        return sums_by_slice(self.model, objective, self.data.validation, self.data, self.rows, self.device)

    def corpus(self, path: str) -> SliceSums:
        """Losses on the validation rows of another corpus, next-token prediction.

        Raises ManifestMismatch for another tokenizer, InputError where the corpus reserves no rows.
        """
        data = open_data([path], TrainConfig())
        own = None if self.data is None else self.data.pretokenizer
        mine, theirs = _rules(self.tokenizer_uri, own), _rules(data.tokenizer, data.pretokenizer)
        if mine != theirs:
            raise ManifestMismatch(
                f"{path}: has tokens of the tokenizer {data.tokenizer} ({theirs[:16]}…), the model those of "
                f"{self.tokenizer_uri} ({mine[:16]}…), which cuts texts otherwise. "
                "Give the texts as JSON Lines, or build the corpus with the model's tokenizer."
            )
        if data.validation is None:
            raise InputError(f"{path}: the corpus reserves no rows for validation. Build it with more documents.")
        return sums_by_slice(self.model, Causal(), data.validation, data, self.rows, self.device)


def _rules(uri: str, pretokenizer: str | None) -> str:
    """Digest of what decides the ids of a text."""
    return digest_json([shards.file_digest(uri), pretokenizer]) if uri.endswith(".tiktoken") else rules_digest(uri)


def open_target(path: str) -> Target:
    """Load what a path names: a run, a checkpoint in the folder of its run, or a folder in the Hugging Face layout.

    Raises InputError if it is none of these, ManifestMismatch if the run's data is not what it was trained on.
    """
    kind, folder = find_init(path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return _open_checkpoint(folder, device) if kind == "checkpoint" else _open_hugging_face(folder, device)


def _open_checkpoint(folder: str, device: torch.device) -> Target:
    run = read_run(checkpoint.run_folder(folder))
    data = open_run_data(run)
    model, state = checkpoint.read_model(folder)
    return Target(
        folder, model.to(device), device, state.vocab_size, state.length, state.end_of_text_id, data.tokenizer,
        run=run, data=data, step=state.step,
    )  # fmt: skip


def _open_hugging_face(folder: str, device: torch.device) -> Target:
    origin = read_origin(TrainConfig(init=folder))
    model: nn.Module
    if why_not_ours(read_config(folder)) is None:
        model, _ = import_model(folder)
    else:
        from trainer.hugging_face import from_folder

        model = from_folder(folder, "causal", (), origin.end_of_text_id, seed=0)
    start_id = origin.tokenizer.prefix[0] if origin.tokenizer.prefix else None
    length = min(origin.max_length or MAX_LENGTH, MAX_LENGTH)
    return Target(
        folder,
        model.to(device),
        device,
        origin.vocab_size,
        length,
        origin.end_of_text_id,
        origin.tokenizer_uri,
        start_id,
    )

"""Loss on the validation rows of the data that a model was trained on, for changes made to its weights afterwards."""

from torch import nn

from manifests.errors import RecipeError
from trainer.checkpoint import run_folder
from trainer.config import TrainConfig
from trainer.data import open_run_data
from trainer.evaluation.slices import Figures, sums_by_slice
from trainer.export import Trained
from trainer.objectives import make_objective
from trainer.origin import fixed
from trainer.run_files import read_run

KEYS = ("loss", "bits_per_byte")


class HeldOut:
    """The validation rows of a run; a distilled run is measured by its cross entropy, as in training."""

    def __init__(self, trained: Trained) -> None:
        """Raises RecipeError if there are none, InputError and the like if the data is not there as it was."""
        config: TrainConfig = trained.state.config.model_copy(update={"distill": None})
        if not trained.paths:
            raise RecipeError(
                f"{trained.folder}: no run.json beside it says what it was trained on: nothing to measure."
            )
        self.data = open_run_data(read_run(run_folder(trained.folder)))
        if self.data.validation is None:
            raise RecipeError(f"{trained.paths[0]}: has no validation rows, so a change of loss cannot be measured.")
        self.rows = self.data.validation
        self.objective = make_objective(fixed(config, trained.state.named_models), self.data)
        self.micro_batch = config.micro_batch

    def figures(self, model: nn.Module) -> Figures:
        """The loss (nats per target) and, where bytes are known, bits_per_byte; on the device that the model is on."""
        device = next(model.parameters()).device
        sums = sums_by_slice(model, self.objective, self.rows, self.data, self.micro_batch, device)
        found = sums.all()
        return {key: found[key] for key in KEYS if key in found}

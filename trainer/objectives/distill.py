"""Next-token prediction that learns from a teacher's distribution too.

loss of a target = (1 - weight) * cross entropy + weight * temperature**2 * KL(teacher || student), where both
distributions of the second term are softened by the temperature; its square keeps the size of the gradient.
Source: Hinton et al. 2015, section 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manifests.errors import RecipeError
from trainer.config import DistillConfig
from trainer.objectives.base import Losses, losses_of
from trainer.objectives.causal import Causal, Tensors
from trainer.stream import Batch


class Distill(Causal):
    """The teacher is frozen, whole on every worker, and sees what the student sees.

    Without gradients, as on validation rows, the losses are the cross entropy alone: runs with and without a teacher
    are compared by it. With them the measures `cross_entropy` and `teacher_kl` (nats, at the temperature) go along.
    """

    def __init__(self, teacher: nn.Module, config: DistillConfig) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.config = config

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        """See Objective; the teacher follows the batch to its device."""
        self.teacher.to(device)
        return super().tensors(batch, device)

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        """See Objective. Raises RecipeError if the teacher has another vocabulary."""
        logits_BTV = model(tensors.inputs, tensors.segment)
        plain = losses_of(logits_BTV, tensors.target, tensors.number)
        if not torch.is_grad_enabled():
            return plain
        with torch.no_grad():
            teacher_BTV = self.teacher(tensors.inputs, tensors.segment)
        if teacher_BTV.shape != logits_BTV.shape:
            raise RecipeError(
                f"distill.teacher {self.config.teacher!r}: has a vocabulary of {teacher_BTV.shape[-1]}, the student of "
                f"{logits_BTV.shape[-1]}. Choose one with the same tokenizer, or set model.vocab_size to its size."
            )
        divergence = torch.where(plain.is_target, self._divergence(logits_BTV, teacher_BTV), 0.0)
        weight = self.config.weight
        values = (1.0 - weight) * plain.values + weight * self.config.temperature**2 * divergence
        measures = {"cross_entropy": plain.values.detach(), "teacher_kl": divergence.detach()}
        return Losses(values, plain.is_target, plain.segment, measures)

    def _divergence(self, logits_BTV: Tensor, teacher_BTV: Tensor) -> Tensor:
        """KL(teacher || student) in nats, (B, T)."""
        student, teacher = (
            F.log_softmax(logits.float() / self.config.temperature, dim=-1) for logits in (logits_BTV, teacher_BTV)
        )
        return F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)

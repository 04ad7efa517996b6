"""Export with int8 weights, and what that costs on the validation rows."""

from dataclasses import asdict, dataclass

from manifests import shards
from trainer import int8
from trainer.export import read_trained, write_rest
from trainer.held_out import HeldOut
from trainer.llama_layout import import_model, write_configs, write_json, write_tensors

REPORT = "int8.json"


@dataclass(frozen=True)
class Quantized:
    """Bytes of the tensors; loss (nats per target) and bits per byte, where known, on the validation rows."""

    out: str
    checkpoint: str
    fp32_bytes: int
    int8_bytes: int
    loss: float
    int8_loss: float
    bits_per_byte: float | None
    int8_bits_per_byte: float | None


def export_int8(path: str, out: str, use_ema: bool = False) -> Quantized:
    """Write the decoder of a checkpoint, or of a run's last one, with int8 weights in the format of trainer/int8.py.

    `init` and import_model read it; transformers does not. The figures are also in `out/int8.json`, measured with the
    model as it is read back. Raises what export raises, and RecipeError where the data has no validation rows.
    """
    trained = read_trained(path, use_ema)
    held_out = HeldOut(trained)
    weights = {name: tensor.detach().float() for name, tensor in trained.decoder.state_dict().items()}
    tensors = int8.quantize(weights)
    write_configs(trained.decoder, trained.state.length, trained.state.end_of_text_id, out)
    write_tensors(shards.join(out, int8.WEIGHTS), tensors, {"format": int8.FORMAT})
    notes = ["the averaged weights (`ema_decay`)"] if use_ema else []
    write_rest(trained, out, [*notes, f"matrices are int8 with a scale for each row, format `{int8.FORMAT}`"])
    before, after = held_out.figures(trained.decoder), held_out.figures(import_model(out)[0])
    report = Quantized(
        out=out,
        checkpoint=trained.folder,
        fp32_bytes=sum(tensor.nbytes for tensor in weights.values()),
        int8_bytes=sum(tensor.nbytes for tensor in tensors.values()),
        loss=before["loss"],
        int8_loss=after["loss"],
        bits_per_byte=before.get("bits_per_byte"),
        int8_bits_per_byte=after.get("bits_per_byte"),
    )
    write_json(shards.join(out, REPORT), asdict(report))
    return report

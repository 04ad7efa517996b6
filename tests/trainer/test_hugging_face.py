from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from manifests.errors import ModelError
from tests.trainer.tiny import write_hugging_face
from trainer.architecture import build, describe
from trainer.config import LoraConfig
from trainer.hugging_face import Adapter, from_folder, real_tokens, unpack
from trainer.lora import add_lora

LABELS = ("no", "yes")
SEGMENT = torch.tensor([[0, 0, 0, 1, 1, -1], [0, 1, 1, 1, 1, 2]])
TOKENS = torch.tensor([[5, 6, 7, 8, 9, 0], [10, 11, 12, 13, 14, 15]])


def load(folder: str, kind: str) -> Adapter:
    labels = LABELS if kind == "classification" else ()
    return from_folder(folder, kind, labels, 0, seed=0).eval()  # type: ignore[arg-type, return-value]


def test_packed_rows_are_taken_apart_and_put_back() -> None:
    rows = unpack(TOKENS, SEGMENT, real_tokens(SEGMENT), padding_id=99)
    assert rows.ids_SL.tolist() == [
        [5, 6, 7, 99], [8, 9, 99, 99], [10, 99, 99, 99], [11, 12, 13, 14], [15, 99, 99, 99]
    ]  # fmt: skip
    assert torch.equal(rows.mask_SL, (rows.ids_SL != 99).long())
    assert torch.equal(rows.back(rows.ids_SL), TOKENS)


def test_some_tokens_of_each_segment_are_taken_out_alone() -> None:
    place = torch.tensor([[0, 0, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1]], dtype=torch.bool)
    rows = unpack(TOKENS, SEGMENT, place, padding_id=99)
    assert rows.ids_SL.tolist() == [[7, 99], [9, 99], [10, 99], [13, 14], [15, 99]]
    assert torch.equal(rows.back(rows.ids_SL), torch.where(place, TOKENS, 0))


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "bloom", "mamba"])
def test_each_segment_gets_the_logits_that_it_gets_alone(family: str, tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, family)
    packed = load(folder, "causal")(TOKENS, SEGMENT)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        for row, start, end in ((0, 0, 3), (0, 3, 5), (1, 0, 1), (1, 1, 5), (1, 5, 6)):
            alone = plain(TOKENS[row : row + 1, start:end]).logits[0]
            assert torch.allclose(packed[row, start:end], alone, atol=1e-5)
    assert not packed[0, 5].any()


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "bloom", "mamba"])
def test_a_changed_example_moves_no_logit_of_another(family: str, tmp_path: Path) -> None:
    model = load(write_hugging_face(tmp_path, family), "causal")
    other = TOKENS.clone()
    other[1, 1:5] = torch.tensor([20, 21, 22, 23])
    before, after = model(TOKENS, SEGMENT), model(other, SEGMENT)
    moved = (before != after).any(dim=-1)
    assert moved.tolist() == [[False] * 6, [False, True, True, True, True, False]]


def test_a_changed_example_moves_no_label_and_no_answer_of_another(tmp_path: Path) -> None:
    other = TOKENS.clone()
    other[1, 1:5] = torch.tensor([20, 21, 22, 23])
    moved = []
    for family in ("bert", "gpt2"):
        model = load(write_hugging_face(tmp_path / family, family), "classification")
        moved.append((model(TOKENS, SEGMENT) != model(other, SEGMENT)).any(dim=-1).tolist())
    assert moved == [[[False] * 6, [False, False, False, False, True, False]]] * 2
    segment = torch.where(SEGMENT == 2, -1, SEGMENT)[:, 1:]  # every segment needs a prompt and an answer
    segment[1] = torch.tensor([1, 1, 1, 1, -1])
    is_answer = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 1, 0]], dtype=torch.bool)
    model = load(write_hugging_face(tmp_path / "t5", "t5"), "seq2seq")
    before, after = (model(tokens[:, 1:], segment, is_answer) for tokens in (TOKENS, other))
    assert (before != after).any(dim=-1).tolist() == [[False] * 5, [False, False, True, True, False]]


def test_an_encoder_decoder_gives_the_logits_of_transformers_own_labels(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, "t5")
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    is_answer = torch.tensor([[0, 0, 0, 1, 1]], dtype=torch.bool)
    logits = load(folder, "seq2seq")(TOKENS[:1, :5], torch.zeros(1, 5, dtype=torch.long), is_answer)
    expected = plain(input_ids=TOKENS[:1, :3], labels=TOKENS[:1, 3:5]).logits
    assert torch.allclose(logits[0, 3:5], expected[0], atol=1e-5)


@pytest.mark.parametrize(("family", "kind"), [("gpt2", "causal"), ("bert", "classification"), ("t5", "seq2seq")])
def test_rows_of_padding_alone_give_zeros_and_gradients_of_zero(family: str, kind: str, tmp_path: Path) -> None:
    model = load(write_hugging_face(tmp_path, family), kind)
    padding = torch.full((2, 6), -1)
    is_answer = (torch.zeros(2, 6, dtype=torch.bool),) if kind == "seq2seq" else ()
    logits: Tensor = model(TOKENS, padding, *is_answer)
    logits[padding >= 0].sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("family", "kind"), [("gpt2", "causal"), ("bert", "classification"), ("gpt2", "classification"), ("t5", "seq2seq")]
)
def test_a_model_is_made_again_from_its_architecture_and_weights(family: str, kind: str, tmp_path: Path) -> None:
    model = load(write_hugging_face(tmp_path, family), kind)
    architecture = describe(model)
    assert architecture is not None
    again = build(type(architecture).model_validate_json(architecture.model_dump_json()), seed=5).eval()
    again.load_state_dict(model.state_dict())
    inputs = (TOKENS, SEGMENT, TOKENS % 2 == 0) if kind == "seq2seq" else (TOKENS, SEGMENT)
    if kind == "seq2seq":
        inputs = (TOKENS[:1, :4], torch.zeros(1, 4, dtype=torch.long), TOKENS[:1, :4] > 6)
    assert torch.equal(model(*inputs), again(*inputs))
    assert describe(again) == architecture


def test_a_head_for_other_labels_is_new_and_for_the_same_labels_is_kept(tmp_path: Path) -> None:
    body = load(write_hugging_face(tmp_path / "body", "bert"), "classification")
    body.inner.save_pretrained(tmp_path / "tuned")
    head = body.inner.classifier.weight
    same = from_folder(str(tmp_path / "tuned"), "classification", LABELS, 0, seed=7)
    other = from_folder(str(tmp_path / "tuned"), "classification", ("yes", "no"), 0, seed=7)
    wider = from_folder(str(tmp_path / "tuned"), "classification", ("a", "b", "c"), 0, seed=7)
    assert torch.equal(same.inner.classifier.weight, head)
    assert not torch.isclose(other.inner.classifier.weight, head).any()
    assert wider.inner.classifier.weight.shape == (3, 32)
    for model in (same, other, wider):
        assert torch.equal(
            model.inner.bert.embeddings.word_embeddings.weight, body.inner.bert.embeddings.word_embeddings.weight
        )


def test_new_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, "bert")
    heads = [from_folder(folder, "classification", LABELS, 0, seed).inner.classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    state = torch.random.get_rng_state()
    from_folder(folder, "classification", LABELS, 0, 3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_encoder_cannot_be_tuned_to_continue_texts(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, "bert")
    with pytest.raises(ModelError, match=r"each token of this model sees the ones after it: an encoder"):
        load(folder, "causal")


def test_folders_that_cannot_be_loaded_whole_are_refused(tmp_path: Path) -> None:
    folder = Path(write_hugging_face(tmp_path / "gpt2", "gpt2"))
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(ModelError, match=r"AutoModelForCausalLM cannot load it"):
        load(str(folder), "causal")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no file named model.safetensors.*other weights are converted by"):
        load(str(folder), "causal")
    with pytest.raises(ModelError, match=r"AutoModelForSeq2SeqLM cannot load it"):
        load(write_hugging_face(tmp_path / "again", "gpt2"), "seq2seq")


def test_weights_that_a_model_lacks_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = Path(write_hugging_face(tmp_path, "gpt2"))
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"n_layer": 2', '"n_layer": 3'))
    with pytest.raises(ModelError, match=r"12 weights are missing, the first is transformer.h.2.attn.c_attn.bias"):
        load(str(folder), "causal")
    (folder / "config.json").write_text(config.replace('"n_layer": 2', '"n_layer": 1'))
    with pytest.raises(ModelError, match=r"11 weights are unexpected, the first is transformer.h.1.attn.c_attn.weight"):
        load(str(folder), "causal")


def test_low_rank_updates_go_into_the_transposed_matrices_of_gpt2_too(tmp_path: Path) -> None:
    model = load(write_hugging_face(tmp_path, "gpt2"), "causal")
    before = model(TOKENS, SEGMENT)
    add_lora(model, LoraConfig(rank=2), 0, train_head=False)
    assert torch.equal(model(TOKENS, SEGMENT), before)
    names = {name.split(".lora_")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    layers = {f"inner.transformer.h.{layer}" for layer in (0, 1)}
    parts = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert names == {f"{layer}.{part}" for layer in layers for part in parts}

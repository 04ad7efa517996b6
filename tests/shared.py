"""Where the labelled data set folder and NLTK's data lie, for tests that use them."""

from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


def nltk_data() -> str:
    """NLTK's data folder, as llama-index-core carries it."""
    return str(metadata.distribution("llama-index-core").locate_file("llama_index/core/_static/nltk_cache"))


def shared_data(*parts: str) -> Path:
    """A path below ../shared/data; skips the calling test with the reason where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the labelled data {Path('..', 'shared', 'data', *parts)} is not beside this checkout")
    return path

from pathlib import Path

import pytest

from corpus.sample import Truth, write_sample

NUM_PAGES = 400


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A small sample crawl, written once; not to be changed."""
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_sample(str(folder), seed=7, num_pages=NUM_PAGES)

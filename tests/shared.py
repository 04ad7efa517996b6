"""Where the labelled data set folder lies, for tests that use it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """A path below ../shared/data; skips the calling test with the reason where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the labelled data {Path('..', 'shared', 'data', *parts)} is not beside this checkout")
    return path

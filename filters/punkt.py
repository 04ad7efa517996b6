"""What NLTK's Punkt splitter has learnt of English: from NLTK's data, for kernels that split as NLTK 3.8.1 does.

NLTK's code is not needed. Its punkt_tab of 2024 holds the same as the pickled punkt before it.
"""

import hashlib
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.kernels.punkt_tokens import ABBREVIATION, STARTER, punkt_table
from filters.kernels.unicode import UNICODE_VERSION
from manifests.errors import ModelError, RecipeError

_FOLDER = "tokenizers/punkt_tab"
_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
_INSTALL = "pip install nltk, then python -m nltk.downloader punkt_tab"


@dataclass(frozen=True)
class Punkt:
    """table: see filters.kernels.punkt_tokens.punkt_table; version: of the data and of Unicode's tables."""

    table: tuple[npt.NDArray[np.uint64], np.uint64]
    version: str


@cache
def load_english() -> Punkt:
    """What is known of English; read once in a process.

    Raises RecipeError where no data folder of NLTK has punkt_tab, ModelError where it is not what is expected.
    """
    where, files = _read()
    lines = {name: [line for line in text.split("\n") if line] for name, text in files.items()}
    types = dict.fromkeys(lines["abbrev_types.txt"], ABBREVIATION)
    for name in lines["sent_starters.txt"]:
        types[name] = types.get(name, 0) | STARTER
    try:
        # punkt's own bits of letter cases are ours.
        for name, bits in (line.split("\t") for line in lines["ortho_context.tab"]):
            types[name] = types.get(name, 0) | int(bits)
        collocations = {(one, other) for one, other in (line.split("\t") for line in lines["collocations.tab"])}
    except ValueError as error:
        raise ModelError(f"{where}: is not punkt_tab's English ({error}). {_INSTALL}.") from None
    names = {*types, *(name for pair in collocations for name in pair)}
    strange = sorted(name for name in names if not name.isascii() or name != name.lower())
    if strange or not types or not collocations:
        raise ModelError(f"{where}: is not punkt_tab's English, which is ASCII in lower case; got {strange[:3]}.")
    table = punkt_table(
        {name.encode(): bits for name, bits in types.items()},
        {(one.encode(), other.encode()) for one, other in collocations},
    )
    digest = hashlib.sha256(repr((sorted(types.items()), sorted(collocations))).encode()).hexdigest()
    return Punkt(table, f"NLTK 3.8.1, punkt sha256:{digest}, Unicode {UNICODE_VERSION}")


def _read() -> tuple[str, dict[str, str]]:
    """Where the data are, a folder or an archive, and their texts by file name."""
    for folder in _data_folders():
        path = folder / _FOLDER / "english"
        archive = folder / f"{_FOLDER}.zip"
        if path.is_dir():
            return str(path), _texts(path)
        if archive.is_file():
            try:
                with zipfile.ZipFile(archive) as opened:
                    return str(archive), _texts(zipfile.Path(opened, "punkt_tab/english/"))
            except zipfile.BadZipFile as error:
                raise ModelError(f"{archive}: is no archive ({error}). {_INSTALL}.") from None
    raise RecipeError(
        'words = "nltk" and sentences = "punkt" need the English punkt_tab of NLTK\'s data, which is in none of its '
        f"folders ({', '.join(map(str, _data_folders()))}): {_INSTALL}, or name the folder in NLTK_DATA"
    )


def _texts(folder: Path | zipfile.Path) -> dict[str, str]:
    try:
        return {name: (folder / name).read_text("utf-8") for name in _FILES}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}: is not punkt_tab's English ({error}). {_INSTALL}.") from None


def _data_folders() -> Iterator[Path]:
    """Where NLTK looks for its data, in its order."""
    yield from (Path(entry) for entry in os.environ.get("NLTK_DATA", "").split(os.pathsep) if entry)
    yield Path.home() / "nltk_data"
    yield from (Path(sys.prefix, below, "nltk_data") for below in ("", "share", "lib"))
    yield from (Path(root, "nltk_data") for root in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"))

import gzip
from pathlib import Path

import pytest
import zstandard

from manifests.errors import InputError
from trainer.jsonl import read_jsonl


def test_compressed_files_hold_the_same_lines(tmp_path: Path) -> None:
    text = b'{"a": 1}\n\n  \n{"a": 2}'
    files = {
        "x.jsonl": text,
        "x.jsonl.gz": gzip.compress(text[:9]) + gzip.compress(text[9:]),
        "x.jsonl.zst": zstandard.compress(text[:9]) + zstandard.compress(text[9:]),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert list(read_jsonl(str(tmp_path / name))) == [(1, {"a": 1}), (4, {"a": 2})]
        if name != "x.jsonl":
            (tmp_path / name).write_bytes(data[:-4])
            with pytest.raises(InputError, match=rf"{name}: is damaged or not whole"):
                list(read_jsonl(str(tmp_path / name)))

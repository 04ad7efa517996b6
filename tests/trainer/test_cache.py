import os
from pathlib import Path

import numpy as np
import pytest

from manifests import shards
from manifests.errors import InputError, IntegrityError, StorageError
from manifests.manifest import Manifest, Shard, read_manifest, write_manifest
from manifests.shards import ROW_GROUP_ROWS
from tests.trainer.synthetic import counting_corpus, small_config, sources_corpus
from trainer.cache import Cache, checked_path
from trainer.data import open_data


def put(folder: Path, manifest: Manifest, name: str) -> str:
    """Copy a corpus to memory."""
    uri = f"memory://{folder.name}/{name}"
    for path in shards.list_files(str(folder)):
        shards.write_bytes(f"{uri}/{path}", shards.read_bytes(f"{folder}/{path}"))
    write_manifest(uri, manifest)
    return uri


def uri_of(root: str, shard: Shard) -> str:
    return shards.join(root, shard.path)


def test_a_corpus_may_lie_on_any_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_SHARDS", str(tmp_path / "cache"))
    manifest = counting_corpus(tmp_path / "corpus")
    root = put(tmp_path / "corpus", manifest, "any")
    config = small_config(global_batch=24)
    remote, local = open_data([root], config), open_data([str(tmp_path / "corpus")], config)
    assert np.array_equal(remote.train.batch(1, 0, 1).tokens, local.train.batch(1, 0, 1).tokens)
    assert remote.digest == read_manifest(str(tmp_path / "corpus")).digest
    digests = {f"{shard.sha256}.parquet" for shard in manifest.packed("train")}
    assert set(os.listdir(tmp_path / "cache")) == digests


def test_a_shard_is_fetched_once_and_then_read_from_the_folder(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus")
    root, cache = put(tmp_path / "corpus", manifest, "once"), Cache(str(tmp_path / "cache"))
    shard = manifest.packed("train")[0]
    path = cache.fetch(uri_of(root, shard), shard)
    assert shards.file_digest(path) == shard.sha256
    shards.remove(uri_of(root, shard))
    assert cache.fetch(uri_of(root, shard), shard) == path


def test_a_use_is_remembered_without_changing_the_time_that_the_digest_is_remembered_by(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus")
    root, cache = put(tmp_path / "corpus", manifest, "used"), Cache(str(tmp_path / "cache"))
    shard = manifest.packed("train")[0]
    path = cache.fetch(uri_of(root, shard), shard)
    os.utime(path, (1, 1))
    assert cache.fetch(uri_of(root, shard), shard) == path
    assert os.stat(path).st_mtime == 1
    assert os.stat(path).st_atime > 1


def test_a_local_shard_is_read_where_it_is(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus")
    shard = manifest.packed("train")[0]
    assert checked_path(str(tmp_path / "corpus"), shard, Cache(str(tmp_path / "cache"))) == str(
        tmp_path / "corpus" / shard.path
    )
    assert not (tmp_path / "cache").exists()


def test_a_copy_that_was_damaged_in_the_folder_is_fetched_again(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus")
    root, cache = put(tmp_path / "corpus", manifest, "again"), Cache(str(tmp_path / "cache"))
    shard = manifest.packed("train")[0]
    path = cache.fetch(uri_of(root, shard), shard)
    Path(path).write_bytes(b"damaged")
    assert cache.fetch(uri_of(root, shard), shard) == path
    assert shards.file_digest(path) == shard.sha256


def test_a_remote_shard_with_a_flipped_byte_names_the_row_group_and_leaves_nothing(tmp_path: Path) -> None:
    manifest = sources_corpus(tmp_path / "corpus", 4 * ROW_GROUP_ROWS, 0)
    root, shard = put(tmp_path / "corpus", manifest, "flipped"), manifest.packed("train")[0]
    with shards.open_parquet(f"{tmp_path}/corpus/{shard.path}") as file:
        column = file.metadata.row_group(1).column(0)
    data = bytearray(shards.read_bytes(uri_of(root, shard)))
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    shards.write_bytes(uri_of(root, shard), bytes(data))
    with pytest.raises(IntegrityError, match=r"memory://.*train-0000-00000\.parquet: row group 1 damaged"):
        Cache(str(tmp_path / "cache")).fetch(uri_of(root, shard), shard)
    assert os.listdir(tmp_path / "cache") == []


def test_what_was_longest_not_used_goes_when_the_folder_is_full(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus", num_rows=60)
    root = put(tmp_path / "corpus", manifest, "full")
    first, second = manifest.packed("train")
    third = manifest.packed("validation")[0]
    cache = Cache(str(tmp_path / "cache"), max_bytes=first.bytes + second.bytes)
    paths = [cache.fetch(uri_of(root, shard), shard) for shard in (first, second)]
    for path, when in zip(paths, (2, 1), strict=True):
        os.utime(path, (when, when))  # the second was used before the first
    cache.fetch(uri_of(root, third), third)
    assert [os.path.exists(path) for path in paths] == [True, False]
    with pytest.raises(StorageError, match=f"may hold 10 bytes, a shard has {first.bytes:,}"):
        Cache(str(tmp_path / "other"), max_bytes=10).fetch(uri_of(root, first), first)


def test_a_remote_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    manifest = counting_corpus(tmp_path / "corpus")
    shard = manifest.packed("train")[0].model_copy(update={"path": "packed/32/none.parquet"})
    root = put(tmp_path / "corpus", manifest, "missing")
    with pytest.raises(IntegrityError, match=r"none\.parquet: is listed .* but is not there"):
        checked_path(root, shard, Cache(str(tmp_path / "cache")))
    with pytest.raises(InputError, match=r"none\.parquet: cannot be read"):
        Cache(str(tmp_path / "cache")).fetch(uri_of(root, shard), shard)

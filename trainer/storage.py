"""Where torch's distributed checkpoints keep their tensors: safetensors files, and JSON that says what is in which.

torch's own writers keep what is where in a pickle; nothing here is pickled or unpickled. A tensor's name begins with
the kind of file that it goes to: `model/NAME`, `optimizer/NAME/...`, `average/NAME`. Each worker writes the parts that
the plan of all gives it, one file of each kind.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from manifests import shards
from manifests.errors import IntegrityError


class Chunk(BaseModel):
    """A box of a tensor: where it begins, its shape, and the file and the name there under which it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset: tuple[int, ...]
    shape: tuple[int, ...]
    file: str
    key: str


class Stored(BaseModel):
    """A whole tensor. dtype: as torch names it, such as float32."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]


class _Written(NamedTuple):
    """What a worker tells the first of them about one chunk."""

    file: str
    key: str
    sha256: str


class Writer(StorageWriter):
    """Writes one worker's files below `folder`. The first worker then has `tensors` and `files` of all of them."""

    def __init__(self, folder: str, rank: int, world_size: int) -> None:
        self.folder = folder
        self.suffix = f"-{rank + 1:05d}-of-{world_size:05d}" if world_size > 1 else ""
        self.tensors: dict[str, Stored] = {}
        self.files: dict[str, str] = {}

    def reset(self, checkpoint_id: Any = None) -> None:
        """There is nothing to forget."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **options: Any) -> None:
        """There is nothing to prepare."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """The plans as they are."""
        return plans

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Any path or URI."""
        return True

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write the files of this worker. Raises StorageError."""
        contents: dict[str, dict[str, Tensor]] = {}
        places = []
        for item in plan.items:
            kind, name = item.index.fqn.split("/", 1)
            tensor = planner.resolve_data(item)
            assert isinstance(tensor, Tensor)
            assert item.tensor_data is not None
            key = (
                name if item.tensor_data.chunk.sizes == item.tensor_data.size else f"{name}@{_comma(item.index.offset)}"
            )
            contents.setdefault(kind, {})[key] = tensor.detach().contiguous()
            places.append((kind, key))
        digests = {kind: self._write(kind, tensors) for kind, tensors in contents.items()}
        results = [
            WriteResult(item.index, 0, _Written(self._name(kind), key, digests[kind]))
            for item, (kind, key) in zip(plan.items, places, strict=True)
        ]
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Put together what all workers have written."""
        written = {result.index: result.storage_data for some in results for result in some}
        self.files = {place.file: place.sha256 for place in written.values()}
        for name, about in metadata.state_dict_metadata.items():
            assert isinstance(about, TensorStorageMetadata)
            chunks = []
            for chunk in about.chunks:
                place = written[MetadataIndex(name, chunk.offsets)]
                shape = tuple(chunk.sizes)
                chunks.append(Chunk(offset=tuple(chunk.offsets), shape=shape, file=place.file, key=place.key))
            dtype = str(about.properties.dtype).removeprefix("torch.")
            self.tensors[name] = Stored(dtype=dtype, shape=tuple(about.size), chunks=tuple(chunks))

    def _name(self, kind: str) -> str:
        return f"{kind}{self.suffix}.safetensors"

    def _write(self, kind: str, tensors: dict[str, Tensor]) -> str:
        uri = shards.join(self.folder, self._name(kind))
        return shards.write_bytes(uri, safetensors.torch.save(tensors)).sha256


def _comma(offset: Any) -> str:
    return ",".join(map(str, offset))


class Reader(StorageReader):
    """Reads any boxes of the tensors below `folder`; files are compared with their digests before they are read."""

    def __init__(self, folder: str, tensors: dict[str, Stored], files: dict[str, str]) -> None:
        self.folder, self.tensors, self.files = folder, tensors, files
        self.places: dict[MetadataIndex, Chunk] = {}

    def reset(self, checkpoint_id: Any = None) -> None:
        """There is nothing to forget."""

    def read_metadata(self, *args: Any, **options: Any) -> Metadata:
        """What the checkpoint says of its tensors, in torch's terms."""
        found: dict[str, Any] = {}
        for name, stored in self.tensors.items():
            boxes = [ChunkStorageMetadata(torch.Size(chunk.offset), torch.Size(chunk.shape)) for chunk in stored.chunks]
            properties = TensorProperties(dtype=getattr(torch, stored.dtype))
            found[name] = TensorStorageMetadata(properties, torch.Size(stored.shape), boxes)
            self.places |= {MetadataIndex(name, chunk.offset): chunk for chunk in stored.chunks}
        return Metadata(found)

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **options: Any) -> None:
        """There is nothing to prepare."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """The plans as they are."""
        return plans

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Any path or URI."""
        return True

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Copy each box to where the plan wants it. Raises IntegrityError for a file that is not what was written."""
        by_file: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            by_file.setdefault(self.places[item.storage_index].file, []).append(item)
        for file, items in sorted(by_file.items()):
            with self._open(file) as tensors:
                for item in items:
                    target = planner.resolve_tensor(item).detach()
                    target.copy_(_box(tensors, self.places[item.storage_index].key, item))
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @contextlib.contextmanager
    def _open(self, file: str) -> Iterator[Any]:
        uri = shards.join(self.folder, file)
        found = shards.file_digest(uri) if shards.exists(uri) else "none"
        if found != self.files.get(file):
            raise IntegrityError(
                f"{uri}: its SHA-256 is {found[:16]}…, the checkpoint says {self.files.get(file, 'none')[:16]}…. "
                "Remove this checkpoint's folder to go on from the one before."
            )
        with tempfile.NamedTemporaryFile(prefix="gristmill-") as copy:
            path = shards.filesystem(uri)[1]
            if not shards.is_local(uri):
                copy.write(shards.read_bytes(uri))
                copy.flush()
                path = copy.name
            with safetensors.safe_open(path, framework="pt") as tensors:
                yield tensors


def _box(tensors: Any, key: str, item: ReadItem) -> Tensor:
    if not item.lengths:
        whole: Tensor = tensors.get_tensor(key)
        return whole
    bounds = zip(item.storage_offsets, item.lengths, strict=True)
    part: Tensor = tensors.get_slice(key)[tuple(slice(start, start + length) for start, length in bounds)]
    return part

"""How fast other loaders read tokens: run in an environment of theirs by `python -m tests.bench.loader`; prints JSON.

    python run_loaders.py LOADER FOLDER BATCH ROUNDS

LOADER: datasets, streaming (mosaicml-streaming) or litdata. FOLDER/tokens.npy: uint16 (num_rows, length + 1). The
loader's own files are written below FOLDER, untimed. Then each round reads an epoch as batches of BATCH rows, numpy or
torch arrays, once in file order and once shuffled as the loader does by default. JSON: version, and of each round the
processor seconds of this process, `ordered` and `shuffled`.
"""

import importlib.machinery
import json
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Epoch = Callable[[bool], Iterator[Any]]  # shuffled or not -> batches


def hugging_face(folder: Path, tokens: np.ndarray, batch: int) -> Epoch:
    """Rows as lists in Parquet, as `datasets` writes them; read by its streaming datasets."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    path = folder / "rows.parquet"
    column = pa.FixedSizeListArray.from_arrays(pa.array(tokens.ravel()), tokens.shape[1])
    pq.write_table(pa.table({"tokens": column}), path, row_group_size=1000)

    def epoch(shuffled: bool) -> Iterator[Any]:
        rows = load_dataset("parquet", data_files=str(path), split="train", streaming=True).with_format("numpy")
        return rows.shuffle(seed=0).iter(batch) if shuffled else rows.iter(batch)

    return epoch


def streaming(folder: Path, tokens: np.ndarray, batch: int) -> Epoch:
    """Rows as arrays in MDS, uncompressed; read by StreamingDataset."""
    without_torchvision()
    from streaming import MDSWriter, StreamingDataset

    out = str(folder / "mds")
    with MDSWriter(out=out, columns={"tokens": f"ndarray:uint16:{tokens.shape[1]}"}) as writer:
        for row in tokens:
            writer.write({"tokens": row})

    def epoch(shuffled: bool) -> Iterator[Any]:
        rows = StreamingDataset(local=out, shuffle=shuffled, batch_size=batch, num_canonical_nodes=1)
        return map(np.stack, batched((row["tokens"] for row in rows), batch))

    return epoch


def batched(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` rows, the last one shorter."""
    some = []
    for row in rows:  # a loop, since litdata's iterator begins again when it is asked once more at its end
        some.append(row)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def without_torchvision() -> None:
    """streaming imports torchvision for its image datasets; for a torch without CUDA there may be no build of it."""

    class Stub(types.ModuleType):
        def __getattr__(self, name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return object

    for name in ("torchvision", "torchvision.io", "torchvision.datasets", "torchvision.transforms"):
        for module in (name, f"{name}.functional"):
            sys.modules[module] = Stub(module)
            sys.modules[module].__spec__ = importlib.machinery.ModuleSpec(module, None, is_package=True)
            sys.modules[module].__path__ = []


def tensors(start_stop: tuple[str, int, int]) -> Iterator[Any]:
    """Rows [start, stop) of a file, flat, as litdata takes tokens."""
    import torch

    path, start, stop = start_stop
    yield torch.from_numpy(np.load(path, mmap_mode="r")[start:stop].ravel().copy())


def litdata(folder: Path, tokens: np.ndarray, batch: int) -> Epoch:
    """Tokens in litdata's chunks; read by StreamingDataset with its TokensLoader."""
    import torch
    from litdata import StreamingDataset, optimize
    from litdata.streaming.item_loader import TokensLoader

    out, row_tokens = str(folder / "litdata"), tokens.shape[1]
    inputs = [(str(folder / "tokens.npy"), start, start + 1024) for start in range(0, len(tokens), 1024)]
    tokens_loader = TokensLoader(block_size=row_tokens)
    size = 8192 * row_tokens
    optimize(tensors, inputs, out, chunk_size=size, num_workers=1, item_loader=tokens_loader, verbose=False)

    def epoch(shuffled: bool) -> Iterator[Any]:
        loader = TokensLoader(block_size=row_tokens)
        rows = StreamingDataset(out, item_loader=loader, shuffle=shuffled, drop_last=False)
        return map(torch.stack, batched(rows, batch))

    return epoch


LOADERS = {"datasets": hugging_face, "streaming": streaming, "litdata": litdata}
PACKAGES = {"datasets": "datasets", "streaming": "mosaicml-streaming", "litdata": "litdata"}


def seconds(batches: Iterator[Any], tokens: np.ndarray) -> float:
    """Processor seconds of reading an epoch, all threads of the process; every row must come once."""
    started = time.process_time()
    num_rows = firsts = 0
    for some in batches:
        rows = some["tokens"] if isinstance(some, dict) else some
        num_rows += len(rows)
        firsts += int(rows[:, 0].sum())
    spent = time.process_time() - started
    if (num_rows, firsts) != (len(tokens), int(tokens[:, 0].astype(np.int64).sum())):
        raise SystemExit(f"{num_rows} rows came, {len(tokens)} were written")
    return spent


def main(loader: str, folder: Path, batch: int, rounds: int) -> None:
    import torch

    torch.set_num_threads(1)
    tokens = np.load(folder / "tokens.npy")
    epoch = LOADERS[loader](folder, tokens, batch)
    found: dict[str, Any] = {"version": metadata.version(PACKAGES[loader]), "ordered": [], "shuffled": []}
    for _ in range(rounds):
        for name in ("ordered", "shuffled"):
            found[name].append(seconds(epoch(name == "shuffled"), tokens))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

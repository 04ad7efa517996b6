"""How long datatrove's stages 2 to 4 of MinHash take on given signatures; run in its own environment, prints JSON.

    python time_datatrove_dedup.py VALUES.npy FOLDER

VALUES.npy: uint (num_documents, 112). The signature files are written here, outside of the time, as its first stage
leaves them: for each bucket the documents' eight values and numbers, sorted. Stage 4 reads documents without text.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)


def write_signatures(values: np.ndarray, folder: Path) -> None:
    record = np.dtype([("sig", "<u8", 8), ("document", "<u4")])
    for bucket in range(CONFIG.num_buckets):
        part = values[:, bucket * 8 : bucket * 8 + 8].astype(np.uint64)
        order = np.lexsort([part[:, row] for row in reversed(range(8))])
        rows = np.zeros(len(values), record)
        rows["sig"], rows["document"] = part[order], order
        path = folder / "signatures" / f"bucket_{bucket:03d}" / "00000.minhash.sig"
        path.parent.mkdir(parents=True)
        path.write_bytes(rows.tobytes())


def main() -> None:
    values, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    write_signatures(values, folder)
    kept = 0

    def documents(data: Any, rank: int, world_size: int) -> Any:
        yield from (Document(text="x", id=str(number)) for number in range(len(values)))

    def count(data: Any, rank: int, world_size: int) -> Any:
        nonlocal kept
        for document in data:
            kept += 1
            yield document

    signatures, pairs, removed = (str(folder / name) for name in ("signatures", "pairs", "removed"))
    stages: list[tuple[int, list[Any]]] = [
        (CONFIG.num_buckets, [MinhashDedupBuckets(signatures, pairs, config=CONFIG)]),
        (1, [MinhashDedupCluster(pairs, removed, CONFIG)]),
        (1, [documents, MinhashDedupFilter(removed), count]),
    ]
    start = time.process_time()
    for number, (num_tasks, pipeline) in enumerate(stages):
        LocalPipelineExecutor(pipeline, tasks=num_tasks, workers=1, logging_dir=str(folder / f"logs{number}")).run()
    print(json.dumps({"seconds": time.process_time() - start, "num_kept": kept}))


if __name__ == "__main__":
    main()

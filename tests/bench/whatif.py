"""`gristmill whatif` over a million ledger rows: wall time of whole commands, start of the process included.

The ledger is that of a corpus of the sample crawl, its rows repeated under other document ids in files of 50,000 rows.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.sample import write_sample

NUM_ROWS = 1_000_000
FILE_ROWS = 50_000
CHANGES = ("gopher_quality.min_words=80", "gopher_repetition.max_top_2_gram_char_ratio=0.15", "language.min_score=0.5")
RUNS = 3


def _enlarge(out: Path) -> int:
    """Replace the ledger by its rows repeated; returns the number of rows."""
    files = sorted((out / "ledger").glob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    for file in files:
        file.unlink()
    copies = NUM_ROWS // rows.num_rows + 1
    ids = rows["doc_id"].to_pylist()
    owners = rows["duplicate_of"].to_pylist()
    waiting, written = [], 0
    for copy in range(copies):
        tail = f"{copy:08x}"
        here = rows.set_column(
            rows.schema.get_field_index("doc_id"),
            rows.schema.field("doc_id"),
            pa.array([name[:24] + tail for name in ids]),
        )
        here = here.set_column(
            rows.schema.get_field_index("duplicate_of"),
            rows.schema.field("duplicate_of"),
            pa.array([name and name[:24] + tail for name in owners], pa.string()),
        )
        waiting.append(here)
        if sum(table.num_rows for table in waiting) >= FILE_ROWS or copy == copies - 1:
            pq.write_table(pa.concat_tables(waiting), out / "ledger" / f"{written:08d}.parquet", compression="zstd")
            written, waiting = written + 1, []
    return copies * rows.num_rows


def main() -> None:
    """Print seconds of each run and their median."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(folder)
        out = Path(folder) / "corpus"
        build(read_recipe(f"{folder}/recipe.toml"), str(out), LocalRunner(), lambda *event: None)
        num_rows = _enlarge(out)
        for change in CHANGES:
            seconds = []
            for _ in range(RUNS):
                start = time.perf_counter()
                command = [sys.executable, "-m", "cluster.cli", "whatif", str(out), "--set", change]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - start)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            print(f"{num_rows:,} rows, --set {change}: {statistics.median(seconds):.2f} s (peak {peak} MiB)")


if __name__ == "__main__":
    main()

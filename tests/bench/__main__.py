"""`python -m tests.bench [NAME ...]`: run all benchmarks, or the named ones. Ratios matter more than times."""

import importlib
import sys

BENCHES = (
    "measures",
    "words",
    "sentences",
    "language",
    "minhash",
    "lines",
    "components",
    "tokens",
    "whatif",
    "decontaminate",
    "dclm",
    "datatrove",
    "pipeline",
)

for name in sys.argv[1:] or BENCHES:
    print(f"\n=== {name}", flush=True)
    importlib.import_module(f"tests.bench.{name}").main()

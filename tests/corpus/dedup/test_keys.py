import pyarrow as pa
import xxhash

from corpus.dedup.keys import text_keys
from filters.kernels.buffers import text_buffers


def test_keys_are_the_halves_of_xxh3_128() -> None:
    texts = ["", "a", "é漢\U0001f600", "long " * 100]
    column = pa.array(["before", *texts, "after"], pa.large_string()).slice(1, 4)
    high, low = text_keys(text_buffers(column))
    whole = [(hi << 64) | lo for hi, lo in zip(high.tolist(), low.tolist(), strict=True)]
    assert whole == [xxhash.xxh3_128_intdigest(text.encode()) for text in texts]


def test_zero_rows_give_zero_keys() -> None:
    high, low = text_keys(text_buffers(pa.array([], pa.large_string())))
    assert (high.tolist(), low.tolist()) == ([], [])

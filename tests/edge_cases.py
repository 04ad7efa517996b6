"""The edge cases that every filter passes: `check_filter(SomeFilter())` in the filter's own test file.

Also the small helpers that filter tests share: a batch from a list of texts, its scores as a table, its reasons.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from filters.base import Columns, Documents, Edit, Filter

ONE_MB_LINE = "the quick brown fox jumps over 13 lazy dogs... " * (1_000_000 // 47)

EDGE_TEXTS: tuple[str, ...] = (
    "",
    "word",
    "a",
    " ",
    "123 456 --- *** 789",  # no letters
    "\n",
    "\n\n\n\n",  # only line ends
    " \n \n\t\n",
    ONE_MB_LINE,
    "x" * 1_000_000,  # one word of 1 MB
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 😀😀 𐍈 😀😀 𐍈",  # astral code points
    "هذا نص قصير باللغة العربية. وهذه جملة أخرى؟\nשלום עולם, זה מבחן.",  # right to left
    "a\0b \0 c\n\0",
    "これは日本語の文章です。単語の間に空白はありません。",
    "line one\r\nline two\rline three\u2028line four\x85line five\x0bsix\x0cseven",
    "\u00a0\u3000\u2003",  # nothing but white space beyond ASCII
    "e\u0301" * 50,  # combining marks
    "\ufeffstarts with a byte order mark. Ends without one",
    "The same line again.\n" * 60,
    "…\n...\n• - *\n{lorem ipsum} javascript [12] [edit]\n#" * 3,
)


def batch(texts: list[str] | tuple[str, ...], urls: list[str | None] | None = None) -> pa.Table:
    """A table as filters see it; documents are numbered, and have no URL unless given."""
    ids = [f"{row:032x}" for row in range(len(texts))]
    return pa.table(
        {
            "doc_id": pa.array(ids, pa.string()),
            "url": pa.array([None] * len(texts) if urls is None else urls, pa.string()),
            "text": pa.array(list(texts), pa.large_string()),
        }
    )


def columns_of(rule: Filter, table: pa.Table) -> tuple[Columns, list[str] | None]:
    """The filter's columns, and the new texts where it is an edit."""
    documents = Documents(table)
    if not isinstance(rule, Edit):
        return rule.score(documents), None
    text, columns = rule.edit(documents)
    assert text.type == pa.large_string()
    text.validate(full=True)
    return columns, text.to_pylist()


def scores_of(rule: Filter, columns: Columns) -> pa.Table:
    """Columns as the scores table that `reject` sees."""
    types = rule.column_types()
    return pa.table(
        {f"{rule.rule}.{name}": pa.array(values, types[f"{rule.rule}.{name}"]) for name, values in columns.items()}
    )


def reasons(rule: Filter, texts: list[str]) -> list[str | None]:
    """What the filter says of each text: a reason, or None for kept."""
    columns, _ = columns_of(rule, batch(texts))
    return rule.reject(scores_of(rule, columns)).to_pylist()


def measure(rule: Filter, name: str, texts: list[str]) -> list[float]:
    """One measure of each text."""
    columns, _ = columns_of(rule, batch(texts))
    return list(columns[name].tolist())


def edited(rule: Edit, text: str) -> str:
    """What the filter makes of a text."""
    texts = columns_of(rule, batch([text]))[1]
    assert texts is not None
    return texts[0]


def check_twin(rule: Edit, texts: list[str], twin: Callable[[str], tuple[str, Mapping[str, float]]]) -> None:
    """Assert that the new text and the measures of each text are the slow twin's."""
    columns, new_texts = columns_of(rule, batch(texts))
    assert new_texts is not None
    for row, text in enumerate(texts):
        assert (new_texts[row], {name: values[row] for name, values in columns.items()}) == twin(text)


def check_filter(rule: Filter, texts: tuple[str, ...] = EDGE_TEXTS) -> None:
    """Assert what the contract asks of every filter, on texts that are hard to get right."""
    table = batch(texts)
    columns, edited = columns_of(rule, table)
    _check_columns(rule, columns, len(texts))
    assert table["text"].to_pylist() == list(texts), "the input was changed"
    if edited is not None:
        assert len(edited) == len(texts)
    _check_reasons(rule, columns, len(texts))
    _check_zero_rows(rule)
    for name, pieces in _cuts(table).items():
        parts = [columns_of(rule, piece) for piece in pieces]
        _check_same(rule, columns, [part[0] for part in parts], name)
        if edited is not None:
            assert [text for part in parts for text in part[1] or []] == edited, f"text differs: {name}"


def _check_columns(rule: Filter, columns: Columns, num_rows: int) -> None:
    assert tuple(columns) == rule.measured(), "measures are missing, added or in another order"
    assert set(rule.column_types()) == {f"{rule.rule}.{name}" for name in rule.measured()}
    for name, values in columns.items():
        assert len(values) == num_rows, f"{name}: {len(values)} values for {num_rows} documents"
        if pa.types.is_floating(rule.column_types()[f"{rule.rule}.{name}"]):
            numbers = np.asarray(values)
            assert numbers.dtype == np.float64, f"{name}: {numbers.dtype}"
            assert all(math.isfinite(value) for value in numbers), f"{name}: {numbers}"
        else:
            assert all(value is not None for value in values), f"{name} has nulls"


def _check_reasons(rule: Filter, columns: Columns, num_rows: int) -> None:
    scores = scores_of(rule, columns)
    reason = rule.reject(scores)
    assert reason.equals(rule.reject(scores.select(rule.deciding_columns()))), "it decides on other columns too"
    assert reason.type == pa.string()
    assert len(reason) == num_rows
    declared = {*rule.defects(), *(f"{rule.rule}.{bound.defect}" for bound, _ in rule.limits())}
    assert set(reason.to_pylist()) - {None} <= declared
    assert all(name.startswith(f"{rule.rule}.") for name in declared)


def _check_zero_rows(rule: Filter) -> None:
    for empty in (batch([]), batch([]).slice(0, 0), pa.table(batch([]).schema.empty_table())):
        columns, edited = columns_of(rule, empty)
        _check_columns(rule, columns, 0)
        assert edited in (None, [])
        assert len(rule.reject(scores_of(rule, columns))) == 0


def _cuts(table: pa.Table) -> dict[str, list[pa.Table]]:
    """The same rows in the same order, cut in ways that must not matter."""
    rows, middle = table.num_rows, table.num_rows // 2
    around = pa.concat_tables([batch(["before the slice…"]), table, batch(["after it."])]).combine_chunks()
    copied = pa.ipc.open_stream(_stream(table)).read_all()
    return {
        "two chunks": [pa.concat_tables([table.slice(0, middle), table.slice(middle)])],
        "two batches": [table.slice(0, middle), table.slice(middle)],
        "one document at a time": [table.slice(row, 1) for row in range(rows)],
        "a slice of a longer table": [around.slice(1, rows)],
        "read from a stream, read-only": [copied],
    }


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _check_same(rule: Filter, whole: Columns, parts: list[Columns], name: str) -> None:
    for measure_name, values in whole.items():
        joined = [value for part in parts for value in part[measure_name]]
        assert joined == list(values), f"{rule.rule}.{measure_name} differs: {name}"

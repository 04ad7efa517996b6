"""What a filter is: documents in, scores and a reason out.

A filter measures (`score`) and decides (`reject`). Deciding sees scores only, so thresholds can change later without
the text. A filter that rewrites text is an `Edit`: it returns the new text with the counts of what it changed, and the
filters after it in the recipe see the new text.
"""

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    SerializationInfo,
    ValidationInfo,
    model_validator,
)

from filters.kernels.buffers import TextBuffers, text_buffers
from manifests import shards
from manifests.errors import RecipeError

if TYPE_CHECKING:
    from filters.kernels.lines import Lines
    from filters.kernels.words import Words

Columns = dict[str, np.ndarray]

# What counts as a word; see filters.words. The words of all but the last are spans of the text.
SpanDefinition = Literal["whitespace", "uax29", "fasttext", "spacy_en"]
WordDefinition = Literal[SpanDefinition, "nltk"]


# Query keys of pre-signed addresses of S3, Google Cloud Storage and Azure.
_SIGNED = re.compile(r"[?&](?:X-Amz-Signature|X-Goog-Signature|Signature|sig|token)=", re.IGNORECASE)


def absolute_path(value: str, info: ValidationInfo) -> str:
    """Relative paths are relative to the recipe's folder, which the reader of a recipe passes as `base`."""
    check_no_credentials(value)
    base = (info.context or {}).get("base")
    if base is None or "://" in value or os.path.isabs(value):
        return value
    return shards.join(base, value) if "://" in base else os.path.normpath(os.path.join(base, value))


def _absolute_glob(value: str, info: ValidationInfo) -> str:
    """As absolute_path, with the wildcards in the name of the recipe's own folder taken as they are."""
    found = absolute_path(value, info)
    base = (info.context or {}).get("base")
    if found == value or "://" in found or base is None:
        return found
    return os.path.normpath(os.path.join(glob.escape(base), value))


def check_no_credentials(uri: str) -> None:
    """Raise RecipeError, which does not repeat them, if a URI carries a user, a password or a signature."""
    protocol, found, rest = uri.partition("://")
    if found and ("@" in rest.split("/")[0] or _SIGNED.search(rest)):
        raise RecipeError(
            f"a {protocol}:// URI carries credentials. They would end up in the corpus's recipe.toml: take them out "
            "and give them to the storage library in its usual place (environment, configuration file), on every node."
        )


def _by_content(value: str, info: SerializationInfo) -> str:
    """Stage digests ask for `files="digest"`: the file's content counts, not where it lies."""
    if (info.context or {}).get("files") == "digest":
        return f"sha256:{shards.file_digest(value)}"
    return value


# The path or URI of a file that a config names (a model, a list, a lexicon).
FilePath = Annotated[str, AfterValidator(absolute_path), PlainSerializer(_by_content)]

# A path, glob or URI of input data: resolved in the same way, never digested by name.
InputPath = Annotated[str, AfterValidator(_absolute_glob)]


class Strict(BaseModel):
    """Base of all configs: frozen, no unknown keys, no silent conversions; "off" stands for None, which TOML lacks."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _off_is_none(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: None if value == "off" else value for key, value in data.items()}


class Documents:
    """A batch of documents with the views that filters share: each is made once, when first asked for.

    table: at least `doc_id` (string), `url` (string, nullable) and `text` (large_string, no nulls).
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._words: dict[WordDefinition, Words] = {}
        self._edited: tuple[pa.Array, Documents] | None = None

    @property
    def num_documents(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def text(self) -> TextBuffers:
        """The UTF-8 of all texts."""
        return text_buffers(self.table["text"])

    def words(self, definition: WordDefinition = "whitespace") -> "Words":
        """Where the words are, with one hash each; found once for each definition. See filters.words."""
        from filters.words import find_words

        if definition not in self._words:
            self._words[definition] = find_words(self.text, definition)
        return self._words[definition]

    @cached_property
    def lines(self) -> "Lines":
        """Where the lines are; see filters.kernels.lines."""
        from filters.kernels.lines import find_lines

        return find_lines(self.text)

    def with_text(self, text: pa.Array) -> "Documents":
        """The same documents with other text; where it differs, shared views are made anew.

        The latest are kept: an edit that looked at its own result leaves the views to the filters after it.
        """
        if pa.chunked_array([text], text.type).equals(self.table["text"]):
            return self
        if self._edited is None or self._edited[0] is not text:
            index = self.table.schema.get_field_index("text")
            self._edited = text, Documents(self.table.set_column(index, "text", text))
        return self._edited[1]


@dataclass(frozen=True)
class Bound:
    """One threshold: documents whose `measure` is beyond the config field `limit` are rejected with `defect`.

    `side` "min" rejects values below the limit, "max" values above it. A limit of None is off. Bounds are inclusive;
    a published rule that rejects the limit itself too names the `semantics` for which its bound is `exclusive`.
    """

    measure: str
    side: Literal["min", "max"]
    limit: str
    defect: str
    exclusive: str | None = None


_BEYOND = {
    ("min", False): np.less,
    ("min", True): np.less_equal,
    ("max", False): np.greater,
    ("max", True): np.greater_equal,
}


class Filter(Strict):
    """Base of all filters: a frozen, strictly read config with two pure methods.

    `rule` names the filter; columns are `<rule>.<measure>` for each of `measures`, reasons `<rule>.<defect>`.
    `bounds` in order give the reasons: the first that fails wins.
    """

    rule: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]
    bounds: ClassVar[tuple[Bound, ...]] = ()

    @model_validator(mode="after")
    def _some_value_passes(self) -> Self:
        """A lower limit above the upper one of the same measure would reject every document."""
        lowest = {bound.measure: bound for bound in self.bounds if bound.side == "min"}
        for bound in self.bounds:
            if bound.side == "max" and bound.measure in lowest:
                least = lowest[bound.measure]
                low, high = getattr(self, least.limit), getattr(self, bound.limit)
                if low is None or high is None:
                    continue
                if low > high or (low == high and (self.excludes(least) or self.excludes(bound))):
                    place = "above" if low > high else "equal to"
                    raise RecipeError(f"{least.limit} = {low} is {place} {bound.limit} = {high}: nothing passes")
        return self

    def excludes(self, bound: Bound) -> bool:
        """Whether a value equal to the limit is rejected too."""
        return bound.exclusive is not None and bound.exclusive == getattr(self, "semantics", None)

    def score(self, documents: Documents) -> Columns:
        """One finite number per document and measure: keys are `measures` without the rule, arrays (num_documents,)."""
        raise NotImplementedError

    def reject(self, scores: pa.Table) -> pa.Array:
        """The reason (`rule.defect`) for each row, or null to keep it; sees only columns named `<rule>.<measure>`."""
        first = np.full(scores.num_rows, -1, np.int32)
        limits = self.limits()
        for index, (bound, limit) in reversed(list(enumerate(limits))):
            # A measure that was not taken is null, NaN here, and beyond no limit.
            values = scores[f"{self.rule}.{bound.measure}"].to_numpy()
            first[_BEYOND[bound.side, self.excludes(bound)](values, limit)] = index
        reasons = pa.array([f"{self.rule}.{bound.defect}" for bound, _ in limits], pa.string())
        return reasons.take(pa.array(first, mask=first < 0))

    def measured(self) -> tuple[str, ...]:
        """The measures that this config takes: `measures` unless the config names others."""
        return self.measures

    def limits(self) -> list[tuple[Bound, float]]:
        """The bounds that are on, in order, each with its limit."""
        limits = [(bound, getattr(self, bound.limit)) for bound in self.bounds]
        return [(bound, limit) for bound, limit in limits if limit is not None]

    def deciding_columns(self) -> list[str]:
        """The ledger columns that `reject` reads."""
        return list(dict.fromkeys(f"{self.rule}.{bound.measure}" for bound, _ in self.limits()))

    def column_types(self) -> dict[str, pa.DataType]:
        """Type of each ledger column of this filter; float64 unless a filter says otherwise."""
        return {f"{self.rule}.{measure}": pa.float64() for measure in self.measured()}

    @classmethod
    def defects(cls) -> tuple[str, ...]:
        """All reasons this filter can give, in the order in which they win."""
        return tuple(f"{cls.rule}.{bound.defect}" for bound in cls.bounds)

    def deciding_keys(self) -> set[str]:
        """The keys of the config that only decide: they change no score and no text."""
        return {bound.limit for bound in self.bounds}

    def measuring(self) -> dict[str, Any]:
        """The part of the config that changes scores or text, all but `deciding_keys`; files by content digest."""
        measuring = self.model_dump(mode="json", context={"files": "digest"}, exclude=self.deciding_keys())
        version = self._words_version()
        return measuring if version is None else {**measuring, "words_version": version}

    def _words_version(self) -> str | None:
        """The tables behind the definition of a word that the filter names, if they are not Python's own."""
        from filters.words import words_version

        definition: WordDefinition | None = getattr(self, "words", None)
        return None if definition is None else words_version(definition)

    def check(self) -> None:
        """Read what the config names; raise RecipeError or ModelError if it is not usable, before any data is read."""
        self._words_version()


class Edit(Filter):
    """A filter that rewrites text."""

    def edit(self, documents: Documents) -> tuple[pa.Array, Columns]:
        """New text (large_string, one per document) and the columns of `measures`, taken while editing."""
        raise NotImplementedError

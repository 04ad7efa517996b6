"""The recipe: what to build, read strictly from TOML.

Every key has a default that is written out into the corpus (`recipe.toml`); an unknown key is an error that names the
nearest known one. Relative paths are relative to the recipe's file and are made absolute when it is read.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from corpus.dedup.optimal import found_with, optimal_bands
from filters import FILTERS, Language
from filters.base import FilePath, Filter, InputPath, Strict, absolute_path
from filters.kernels.minhash import Scheme
from manifests.errors import RecipeError
from manifests.strict import did_you_mean, explain_validation


def _tokenizer_path(value: str, info: ValidationInfo) -> str:
    return value if value.startswith("train:") else absolute_path(value, info)


def _filter(value: Any, info: ValidationInfo) -> Filter:
    """The filter that `rule` names, with the other keys as its config."""
    if isinstance(value, Filter):
        return value
    rule = value.get("rule") if isinstance(value, dict) else None
    if rule not in FILTERS:
        there = ", ".join(FILTERS)
        raise RecipeError(f"[[filter]] has rule = {rule!r}{did_you_mean(str(rule), FILTERS)} There are: {there}.")
    config = {key: entry for key, entry in value.items() if key != "rule"}
    try:
        return FILTERS[rule].model_validate(config, context=info.context)
    except ValidationError as error:
        raise RecipeError(f"[[filter]] {rule}: {explain_validation(error, FILTERS[rule])}") from None


class Source(Strict):
    """One named input: files of one format below one root."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    format: Literal["warc", "wet", "jsonl", "parquet", "text"]
    paths: list[InputPath] = Field(min_length=1)
    licence: str = "unknown"
    # jsonl and parquet: which column holds what; `text` must exist, the others may be absent.
    columns: dict[Literal["text", "id", "url", "date", "language"], str] = {}
    keep_columns: list[str] = []
    max_record_bytes: int = Field(default=64 * 1024 * 1024, ge=1)  # larger records fail with a reason


class Extract(Strict):
    """HTML to text; only for WARC sources."""

    method: Literal["resiliparse", "trafilatura"] = "resiliparse"


class Normalize(Strict):
    """Text clean-up before anything is measured; classic preprocessing is off by default."""

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    line_ends: bool = True
    control_characters: bool = True
    zero_width: bool = True
    blank_runs: bool = True
    lowercase: bool = False
    strip_punctuation: bool = False
    stop_words: FilePath | None = None  # a file with one word a line; these words are removed


# The manifest.json, or the folder, of another corpus.
ManifestPath = Annotated[str, AfterValidator(absolute_path)]


class MinHash(Strict):
    """Near-duplicate search: pairs that share a band of their signatures and whose estimated Jaccard is high enough.

    `threshold` alone picks bands and rows as datasketch does for 128 permutations; bands and rows alone set the
    threshold where a pair is found with a chance of 1 - 1/e: (1 / bands) ** (1 / rows).
    """

    ngram: int = Field(default=5, ge=1, le=32)
    bands: int = Field(default=14, ge=1, le=256)
    rows: int = Field(default=8, ge=1, le=128)
    threshold: float = Field(default=0.72, ge=0.0, le=1.0)
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    scheme: Scheme = "affine32"  # of the permutations; "affine64" where documents have 100 million shingles

    @model_validator(mode="before")
    @classmethod
    def _fill_threshold_or_bands(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        threshold, bands, rows = (data.get(key) for key in ("threshold", "bands", "rows"))
        if isinstance(threshold, float) and 0.0 <= threshold <= 1.0 and bands is None and rows is None:
            bands, rows = optimal_bands(threshold)
            return {**data, "bands": bands, "rows": rows}
        if threshold is None and isinstance(bands or 14, int) and isinstance(rows or 8, int):
            return {**data, "threshold": found_with(max(1, bands or 14), max(1, rows or 8))}
        return data


class Lines(Strict):
    """Lines, or paragraphs (runs of lines between blank ones), that an earlier document has go from later ones."""

    unit: Literal["line", "paragraph"] = "line"
    # Shorter ones stay. Counted without blanks, punctuation and symbols; see filters.kernels.normalized_lines.
    min_chars: int = Field(default=20, ge=1)


class Dedup(Strict):
    """Which documents are duplicates of which, and who stays. `minhash` absent: equal ones only."""

    exact: bool = True  # equal final texts
    normalized: bool = False  # equal words: case, punctuation and white space aside
    url: bool = False  # equal URLs, once normalized: captures of one page
    keep: Literal["longest", "best_quality", "earliest", "latest"] = "longest"
    quality: str | None = None  # the score column for best_quality, higher is better
    against: list[ManifestPath] = []  # older corpora: what they keep is dropped here
    partitions: int | None = Field(default=None, ge=1, le=4096)  # None: one per 500,000 documents
    minhash: MinHash | None = None
    lines: Lines | None = None
    # A source that loses a larger share of its documents fails the build. Newer snapshots took nine tenths of FineWeb's
    # oldest ones, and what was left was worse than what had gone (Penedo et al. 2024).
    max_lost_ratio: float = Field(default=0.9, ge=0.0, le=1.0)
    min_documents: int = Field(default=100, ge=1)  # smaller sources are not judged
    accept_loss: list[str] = []  # sources that may lose any share
    report_component_size: int = Field(default=100, ge=2)  # components that the report shows one by one

    def signing(self) -> dict[str, Any]:
        """The settings that decide the bytes of a unit's signatures and runs."""
        chosen = self.model_dump(include={"exact", "normalized", "url", "quality"})
        minhash = self.minhash and self.minhash.model_dump(exclude={"threshold"})
        return {**chosen, "minhash": minhash}

    def deciding(self) -> dict[str, Any]:
        """The settings that decide who is a duplicate of whom, those of `signing` and older corpora left out."""
        return {"keep": self.keep, "threshold": self.minhash and self.minhash.threshold}


class Gate(Strict):
    """Fails the build when, in any slice, a rule drops more than max_drop_ratio of the documents that reached it."""

    slice: Literal["all", "language", "source", "tld", "identity"]
    rule: str = "*"  # a rule, a reason (rule.defect), or * for all together
    max_drop_ratio: float = Field(ge=0.0, le=1.0)
    min_documents: int = Field(default=100, ge=1)  # smaller slices are not judged


class Audit(Strict):
    """Who is dropped: retention by slice and by mentioned identity group."""

    lexicons: dict[str, FilePath] = {}  # language -> file that replaces or adds an identity lexicon
    toxic_min_score: float = Field(default=0.5, ge=0.0, le=1.0)
    gate: list[Gate] = []


class Tokenize(Strict):
    """`train:N` (byte-level BPE trained on the kept text), a `tokenizer.json`, or a `*.tiktoken` file."""

    tokenizer: Annotated[str, AfterValidator(_tokenizer_path)] = "train:8000"
    pretokenizer: str | None = None  # for *.tiktoken: gpt2, cl100k, o200k ...
    shards: int | None = Field(default=None, ge=1)  # None: one per 256 MiB of kept text


class Pack(Strict):
    """Rows of length + 1 tokens for training."""

    length: int = Field(default=1024, ge=8, le=1 << 20)
    validation_ratio: float = Field(default=0.01, ge=0.0, le=0.5)  # share of documents reserved, by hash of doc_id
    quality: str | None = None  # the score column whose deciles segments carry


class Recipe(Strict):
    """Everything that decides the bytes of a corpus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    short_circuit: bool = False
    source: list[Source] = Field(min_length=1)
    extract: Extract = Extract()
    normalize: Normalize = Normalize()
    language: Language = Language()
    filter: list[Annotated[SerializeAsAny[Filter], BeforeValidator(_filter)]] = []
    dedup: Dedup = Dedup()
    audit: Audit = Audit()
    tokenize: Tokenize = Tokenize()
    pack: Pack = Pack()

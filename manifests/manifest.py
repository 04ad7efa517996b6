"""The manifest: what a corpus is, and the only thing a trainer needs to know of it.

`digest` covers everything that the recipe and the inputs decide: shards, files, counts, recipe, tokenizer, models. It
leaves out times, hosts, absolute paths and the files that hold such things (`side_files`), so the same corpus built in
another folder has the same digest. `checksum` covers every byte of the manifest, so that a flipped byte is found.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests import shards
from manifests.digest import digest_json
from manifests.errors import InputError, IntegrityError, ManifestMismatch

FORMAT = "gristmill-manifest/2"
NAME = "manifest.json"
NOT_DIGESTED = ("digest", "checksum", "run", "side_files")


class Part(BaseModel):
    """Base: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Part):
    """A file below the corpus folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Shard(File):
    """A file of tokens or of packed rows. `tokens` counts document tokens (padding left out).

    source: name of the one source of the packed rows; None for files of tokens, which hold all.
    """

    kind: Literal["tokens", "packed"]
    split: Literal["train", "validation", "all"]
    tokens: int
    source: str | None = None


class SourceFacts(Part):
    """One source; its position in the manifest's list is the number in `segment_source`."""

    name: str
    format: str
    licence: str
    num_units: int
    num_records: int
    bytes: int


class UnitFacts(Part):
    """One input file, by content."""

    unit_id: str
    source: str
    file: str
    bytes: int
    sha256: str
    num_records: int


class TokenizerFacts(Part):
    """The tokenizer; `path` is its file below the corpus folder."""

    path: str
    kind: Literal["tokenizer.json", "tiktoken"]
    pretokenizer: str | None
    vocab_size: int
    end_of_text_id: int
    token_type: Literal["uint16", "uint32"]
    sha256: str

    @property
    def rules(self) -> str:
        """What decides the ids of a text: SHA-256 of the file, then the split rule, which a .tiktoken file lacks."""
        return " ".join((self.sha256, *([self.pretokenizer] if self.pretokenizer else [])))


class PackingFacts(Part):
    """Packed rows; efficiency = document tokens / (rows * (length + 1)).

    languages: sorted; the position is the number in `segment_language`. quality_edges: the 9 scores between the deciles
    of `segment_quality`, which is the number of edges below a document's score; none without scores.
    """

    length: int
    num_rows: int
    num_validation_rows: int
    num_tokens: int
    efficiency: float
    languages: list[str] = []
    quality_edges: list[float] = []


class Manifest(Part):
    """Contents of manifest.json."""

    format: str = FORMAT
    name: str
    seed: int
    recipe: dict[str, Any]  # resolved; named files by content digest, without the inputs' paths
    recipe_digest: str
    sources: list[SourceFacts]
    units: list[UnitFacts]
    shards: list[Shard]
    files: list[File]  # every other file that the digest covers: units, duplicates, ledger, tokenizer
    tokenizer: TokenizerFacts
    packing: PackingFacts
    models: dict[str, str]  # config field -> sha256 of the model or list file
    counts: dict[str, dict[str, int]]  # documents by fate, stage, reason and more: see ledger.counts
    schemas: dict[str, str]
    versions: dict[str, str]
    parents: list[str] = []
    side_files: list[File] = []  # recipe.toml, commit.json, report.*: hold times or paths
    run: dict[str, Any] = {}  # when, where, how long: not part of the digest
    digest: str = ""
    checksum: str = ""

    def sealed(self) -> "Manifest":
        """The same manifest with `digest` and `checksum` filled in."""
        data = self.model_dump(mode="json")
        data["digest"] = digest_json({key: value for key, value in data.items() if key not in NOT_DIGESTED})
        data["checksum"] = digest_json({key: value for key, value in data.items() if key != "checksum"})
        return Manifest.model_validate(data)

    def packed(self, split: Literal["train", "validation"]) -> list[Shard]:
        """The packed shards of a split, in the order that defines row numbers."""
        return [shard for shard in self.shards if shard.kind == "packed" and shard.split == split]


def to_text(manifest: Manifest) -> str:
    """The exact text of manifest.json."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_manifest(root: str, manifest: Manifest) -> Manifest:
    """Seal and write `manifest.json` below root; this is the last write of a build."""
    sealed = manifest.sealed()
    shards.write_bytes(shards.join(root, NAME), to_text(sealed).encode("utf-8"))
    return sealed


def corpus_root(path: str) -> str:
    """The corpus folder of a path that names the folder or its manifest.json."""
    trimmed = path.rstrip("/")
    return trimmed[: -len(NAME)].rstrip("/") or "." if trimmed.endswith(NAME) else trimmed


def read_manifest(path: str) -> Manifest:
    """Read a manifest by its path or its folder.

    Raises InputError if there is none, ManifestMismatch for another format, IntegrityError if a byte was changed.
    """
    uri = shards.join(corpus_root(path), NAME)
    try:
        text = shards.read_bytes(uri).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{uri}: there is no manifest. A corpus has one only when its build is finished and its gates are met "
            "(see its report.html): run `gristmill build` again with the same recipe and --out."
        ) from None
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{uri}: is not UTF-8 at byte {error.start}. Run the build again.") from error
    return parse_manifest(text, uri)


def parse_manifest(text: str, where: str) -> Manifest:
    """Parse and check the text of a manifest; see read_manifest for the errors."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise IntegrityError(f"{where}: is not JSON ({error}). Run the build again.") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise ManifestMismatch(f"{where}: has format {found!r}, this version reads {FORMAT!r}. Build the corpus again.")
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        raise IntegrityError(f"{where}: is not a whole manifest: {error.errors()[0]['msg']}.") from error
    expected = manifest.sealed()
    if text != to_text(expected):
        raise IntegrityError(
            f"{where}: its checksum is {manifest.checksum[:16]}…, its content gives {expected.checksum[:16]}…: "
            "the file was changed after it was written. Run the build again."
        )
    return manifest


def manifest_digest(path: str) -> str:
    """The digest of a corpus, for comparison."""
    return read_manifest(path).digest

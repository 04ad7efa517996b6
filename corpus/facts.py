"""What manifest and report say of a build, gathered from the recipe and the commit records."""

from dataclasses import asdict
from typing import Any

from corpus import stage
from corpus.commits import Record
from corpus.finish import TOKEN_LIBRARIES
from corpus.recipe import Recipe, Source
from corpus.recipe_file import portable, recipe_digest
from corpus.score import score_libraries, signing_versions, text_libraries, versions
from corpus.slices import Slices
from filters.decontaminate import Decontaminate
from manifests import schemas
from manifests.manifest import Manifest, PackingFacts, Shard, SourceFacts, UnitFacts


def described(recipe: Recipe, commits: dict[str, Record]) -> dict[str, Any]:
    """What a manifest says of recipe and inputs. commits: of the units' scoring, by unit id."""
    return {
        "recipe": portable(recipe),
        "recipe_digest": recipe_digest(recipe),
        "sources": [source_facts(source, commits) for source in recipe.source],
        "units": [unit_facts(record) for record in commits.values()],
        "models": models(recipe),
        "versions": library_versions(recipe),
    }


def described_by(parent: Manifest) -> dict[str, Any]:
    """The same of another version of the corpus; neither inputs nor files that the recipe names need be there."""
    same = {name: getattr(parent, name) for name in ("recipe", "recipe_digest", "sources", "units", "models")}
    return {**same, "versions": parent.versions | versions(TOKEN_LIBRARIES)}


def nothing_kept(out: str, commits: dict[str, Record]) -> str:
    """The error text for a build whose filters leave nothing."""
    reasons: dict[str, int] = {}
    for record in commits.values():
        for reason, number in record["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    most = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    why = ", ".join(f"{reason} {number:,}" for reason, number in most)
    return (
        f"{out}: no document is kept, so there is nothing to encode. Most frequent reasons: {why}. Scores of each "
        "record are in units/*/scores.parquet; change the thresholds and run again."
    )


def source_facts(source: Source, commits: dict[str, Record]) -> SourceFacts:
    """A source and what was read of it."""
    mine = [record["input"] for record in commits.values() if record["unit"]["source"] == source.name]
    return SourceFacts(
        name=source.name,
        format=source.format,
        licence=source.licence,
        num_units=len(mine),
        num_records=sum(unit["num_records"] for unit in mine),
        bytes=sum(unit["num_bytes"] for unit in mine),
    )


def unit_facts(record: Record) -> UnitFacts:
    """An input file by its content."""
    unit, read = record["unit"], record["input"]
    return UnitFacts(
        unit_id=unit["unit_id"],
        source=unit["source"],
        file=unit["file"],
        bytes=read["num_bytes"],
        sha256=read["sha256"],
        num_records=read["num_records"],
    )


def packing_facts(recipe: Recipe, made: list[Shard], slices: Slices) -> PackingFacts:
    """Rows and tokens of the packed shards together."""
    packed = [shard for shard in made if shard.kind == "packed"]
    return PackingFacts(length=recipe.pack.length, **_filling(recipe, packed), **asdict(slices))


def packed_sources(recipe: Recipe, made: list[Shard]) -> list[dict[str, Any]]:
    """For each source with packed shards, in the recipe's order: source, num_rows, num_tokens ... as packing_facts."""
    by_source = {
        source.name: [shard for shard in made if shard.kind == "packed" and shard.source == source.name]
        for source in recipe.source
    }
    return [{"source": name, **_filling(recipe, packed)} for name, packed in by_source.items() if packed]


def _filling(recipe: Recipe, packed: list[Shard]) -> dict[str, Any]:
    rows, tokens = sum(shard.rows for shard in packed), sum(shard.tokens for shard in packed)
    return {
        "num_rows": rows,
        "num_validation_rows": sum(shard.rows for shard in packed if shard.split == "validation"),
        "num_tokens": tokens,
        "efficiency": round(tokens / max(1, rows * (recipe.pack.length + 1)), 6),
    }


def bounds_of(recipe: Recipe) -> list[dict[str, Any]]:
    """Every threshold that is on, for the report's histograms."""
    return [
        {
            "column": f"{rule.rule}.{bound.measure}",
            "side": bound.side,
            "limit": float(limit),
            "exclusive": rule.excludes(bound),
            "reason": f"{rule.rule}.{bound.defect}",
        }
        for rule in stage.chain(recipe)
        for bound, limit in rule.limits()
    ]


def item_files(recipe: Recipe) -> list[str]:
    """The names, without folders, of the files of evaluation items that `decontaminate.item_file` counts."""
    return [path.rsplit("/", 1)[-1] for rule in recipe.filter if isinstance(rule, Decontaminate) for path in rule.files]


def models(recipe: Recipe) -> dict[str, str]:
    """Content digests of the files that filters read: `rule.field`, with a position or key where there are several."""
    found = {"language.model": recipe.language.model_digest}
    for rule in stage.chain(recipe):
        config = rule.model_dump(mode="json", context={"files": "digest"})
        for key, value in (config | rule.measuring()).items():
            several = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
            for name, entry in [(key, value), *((f"{key}.{place}", entry) for place, entry in several)]:
                if isinstance(entry, str) and entry.startswith("sha256:"):
                    found[f"{rule.rule}.{name}"] = entry.removeprefix("sha256:")
    return found


def schema_texts(recipe: Recipe) -> dict[str, str]:
    """The schemas of the corpus's tables, in words."""
    return {
        "record": str(schemas.RECORD),
        "scores": str(stage.scores_schema(recipe)),
        "decisions": str(stage.DECISIONS),
        "ledger": str(schemas.LEDGER),
        "duplicates": str(schemas.DUPLICATES),
        "removed_lines": str(schemas.REMOVED_LINES),
        "removed": str(schemas.REMOVED),
    }


def library_versions(recipe: Recipe) -> dict[str, str]:
    """Versions of gristmill and of the libraries that decide bytes of this recipe's corpus."""
    reading = {name for source in recipe.source for name in text_libraries(recipe, source)}
    return signing_versions(recipe.dedup) | versions(
        ("gristmill", "numpy", "scipy", "xxhash", *score_libraries(recipe), *TOKEN_LIBRARIES, *sorted(reading))
    )

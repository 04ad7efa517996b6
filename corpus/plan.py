"""The stages in the order in which they run, on one screen. `build` is all of them."""

import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from corpus import facts, gather, removed, stage
from corpus.audit import audit, check_gates, verdicts
from corpus.commits import Record, entries, find_committed, write_commit
from corpus.dedup.against import older_corpora
from corpus.dedup.lines import LinesPlan, deduplicate_lines
from corpus.dedup.stage import deduplicate
from corpus.dedup.work import SignedUnit, Work
from corpus.encode import num_buckets
from corpus.finish import decided_files, finish_digest, finish_unit
from corpus.prepare import claim, prepare
from corpus.recipe import Recipe
from corpus.report import build_report, render
from corpus.retention import check_retention
from corpus.run_local import Item, Runner
from corpus.score import score_unit, unit_folder, versions
from corpus.slices import Slices, find_slices
from corpus.train_tokenizer import trained_vocab_size
from corpus.units import Unit
from manifests import ledger, shards
from manifests.digest import digest_json
from manifests.errors import InputError
from manifests.lock import locked
from manifests.manifest import (
    File,
    Manifest,
    Shard,
    write_manifest,
)
from manifests.schemas import LINES_FOLDER, REMOVED_FOLDER
from manifests.shards import FileEntry

# Raise it when dedup gives other duplicates for the same runs.
DEDUP_VERSION = 2
# The same for lines.
LINES_VERSION = 1

# What a build may find of earlier ones, and removes if it is not of this one.
OUR_FOLDERS = ("units", "duplicates", "ledger", "tokens", "packed", REMOVED_FOLDER)
OUR_FILES = (
    "tokenizer.",
    "recipe.toml",
    "manifest.json",
    "report.",
    ".recipe.toml.",
    ".manifest.",
    ".report.",
    ".tokenizer.",
)

FILES_PER_TASK = 64  # of a copy

# Called as watch(stage, done items, all items, (done bytes, all bytes), what the last result says); bytes are 0 where
# they tell nothing. `damaged` of a result names the files of an earlier run that were not as they had been written, and
# are made again.
Watch = Callable[[str, int, int, tuple[int, int], Item], None]


def build(recipe: Recipe, out: str, runner: Runner, watch: Watch) -> Manifest:
    """Build the corpus of a recipe below `out`, or finish one that was begun; returns its manifest.

    What an earlier run committed is used again as far as the recipe's changes allow. The manifest is written last.
    Raises the errors of manifests.errors: GateFailed after dedup where a source lost too much to it, and at the end,
    after the report is written, so that it can be looked at, where a gate of the audit is not met.
    """
    job = Build(recipe, out, runner, watch)
    units = prepare(recipe, out)
    with locked(out):
        claim(recipe, out)
        return job.go_on(job.score(units))


@dataclass
class Build:
    """The stages of one build; each is a map over units or buckets with a commit record per item."""

    recipe: Recipe
    out: str
    runner: Runner
    watch: Watch
    seconds: dict[str, float] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)
    files: list[FileEntry] = field(default_factory=list)
    side_files: list[str] = field(default_factory=lambda: ["recipe.toml", "report.json", "report.html"])
    removals: Record | None = None
    slices: Slices = field(default_factory=Slices)  # of the kept documents, once these are in the ledger
    parent: Manifest | None = None  # of the corpus that this one is another version of: inputs are not looked at

    def __post_init__(self) -> None:
        """Look at the older corpora once: they may be built again, or go, before dedup."""
        self.older = older_corpora(self.recipe.dedup, self.out)

    def go_on(self, commits: dict[str, Record]) -> Manifest:
        """All that follows on scoring. commits: its records, by unit id."""
        self.take_out(commits)
        self.lines(commits, self.dedup(commits))
        plan = self.tokenizer(commits)
        return self.conclude(commits, plan, self.gather(plan, *self.finish(commits, plan)))

    def score(self, units: list[Unit]) -> dict[str, Record]:
        """Read, extract, normalize, measure, decide, edit, sign: one task per unit. Commit records by unit id."""
        items = [{"unit": asdict(unit), "input_bytes": unit.num_bytes} for unit in units]
        results = self._map("score", partial(score_unit, self.recipe, self.out), items)
        return self.scored({record["unit"]["unit_id"]: record for record in results})

    def scored(self, commits: dict[str, Record]) -> dict[str, Record]:
        """Take the units' files into the corpus; the same records, by unit id."""
        for unit_id, record in sorted(commits.items()):
            self.files += entries(record)
            self.side_files.append(f"{unit_folder(unit_id)}/commit.json")
        return dict(sorted(commits.items()))

    def take_out(self, commits: dict[str, Record]) -> None:
        """Documents that were removed from the corpus stay out of it."""
        self.removals = removed.removals(self.out, commits)
        if self.removals:
            self.files += entries(self.removals)
            self.side_files.append(removed.COMMIT)

    def dedup(self, commits: dict[str, Record]) -> str:
        """Exact, then near duplicates, over the units' runs. Returns the digest of what decided the result."""
        config = self.recipe.dedup
        inputs = [[unit_id, _contents(record)] for unit_id, record in commits.items()]
        older = [corpus.digest for corpus in self.older]
        settings = [config.signing(), config.deciding(), older]
        left_out = self.removals and _contents(self.removals)
        digest = digest_json([DEDUP_VERSION, versions(("pyarrow", "numpy")), settings, inputs, left_out])
        units = [SignedUnit(unit_id, _num_signed(entries(record))) for unit_id, record in commits.items()]
        indexed = [unit for corpus in self.older for unit in corpus.units]

        def make() -> list[FileEntry]:
            made, damaged = deduplicate(self.out, units, indexed, config, digest, self._map_dedup)
            self._tell_damage("dedup", damaged)
            return made

        self._once("dedup", "duplicates", digest, make)
        Work.clean(self.out)
        check_retention(self.out, commits, self.files, config)
        return digest

    def lines(self, commits: dict[str, Record], duplicates: str) -> None:
        """Cut lines of earlier documents out of later ones, if asked to. duplicates: digest of what decided dedup."""
        config = self.recipe.dedup
        if config.lines is None:
            shards.remove(shards.join(self.out, LINES_FOLDER))
            return
        settings = config.lines.model_dump(mode="json")
        digest = digest_json([LINES_VERSION, versions(("pyarrow", "numpy")), settings, duplicates])
        units = {unit_id: int(record["kept_bytes"]) for unit_id, record in commits.items()}
        make = partial(deduplicate_lines, self.out, units, config, digest, self._map_lines)
        self._once("lines", LINES_FOLDER, digest, make)
        LinesPlan.clean(self.out)

    def tokenizer(self, commits: dict[str, Record]) -> Item:
        """Train the tokenizer or copy the given one; returns the plan of encoding."""
        started = time.monotonic()
        kept_bytes = sum(record["kept_bytes"] for record in commits.values())
        if not any(record["fates"].get("kept") for record in commits.values()):
            raise InputError(facts.nothing_kept(self.out, commits))
        dedup = self.recipe.dedup
        older = [corpus.digest for corpus in self.older]
        settings = [
            DEDUP_VERSION,
            dedup.deciding(),
            older,
            LINES_VERSION,
            dedup.lines and dedup.lines.model_dump(mode="json"),
        ]
        decided_by = digest_json(
            [settings, [[record["digest"], record["input"]["sha256"]] for record in commits.values()]]
        )
        if self.parent:
            placed = gather.keep_tokenizer(self.out, self.parent)
        else:
            placed = gather.place_tokenizer(self.recipe, self.out, list(commits), kept_bytes, decided_by)
        self._tell_damage("tokenizer", placed.get("damaged", []))
        (made,) = entries(placed)
        if trained_vocab_size(self.recipe.tokenize.tokenizer) is not None:
            self.side_files.append(gather.COMMIT)
        self.seconds["tokenizer"] = time.monotonic() - started
        self.files.append(made)
        return {
            "tokenizer": made.path,
            "tokenizer_sha256": made.sha256,
            "pretokenizer": self.recipe.tokenize.pretokenizer,
            "num_buckets": num_buckets(kept_bytes, self.recipe.tokenize.shards),
        }

    def finish(self, commits: dict[str, Record], plan: Item) -> tuple[list[Item], list[str], Record]:
        """Encode kept documents and write the ledger: one task per unit. Returns what `gather` takes."""
        sha256 = {entry.path: entry.sha256 for entry in self.files}
        digests = {
            unit_id: finish_digest(self.recipe, plan, record, [sha256.get(path) for path in decided_files(unit_id)])
            for unit_id, record in commits.items()
        }
        state = gather.tokens_state(plan, commits, digests)
        held = gather.held_units(self.out, plan["num_buckets"], state)
        items = [
            {
                "unit_id": unit_id,
                "digest": digest,
                "need_tokens": unit_id not in held,
                "input_bytes": commits[unit_id]["kept_bytes"],
            }
            for unit_id, digest in digests.items()
        ]
        task = partial(finish_unit, self.recipe, self.out, plan)
        records = {record["unit_id"]: record for record in self._map("encode", task, items)}
        for unit_id, record in sorted(records.items()):
            self.files += entries(record)
            self.side_files.append(f"{unit_folder(unit_id)}/encode.json")
        self.slices = find_slices(self.out, sorted(commits), self.recipe.pack.quality)
        buckets = gather.bucket_items(self.recipe, plan, records, state, self.slices, others_stay=bool(held))
        return buckets, sorted(set(commits) - held), state

    def gather(self, plan: Item, buckets: list[Item], changed: list[str], state: Record) -> list[Shard]:
        """Bring each bucket's documents together, shuffled, and pack them into rows: one task per bucket.

        changed: units whose tokens the token shards do not hold; state: what these are made from.
        """
        task = partial(gather.gather_and_pack, self.recipe, self.out, plan, changed, self.slices)
        records = sorted(self._map("pack", task, buckets), key=lambda record: int(record["bucket"]))
        write_commit(shards.join(self.out, gather.STATE), state["digest"], [], units=state["units"])
        for unit_id in state["units"]:
            shards.remove(shards.join(self.out, unit_folder(unit_id), "tokens.parquet"))
        self.side_files.append(gather.STATE)
        for item in buckets:
            self.side_files += [gather.tokens_commit(item["bucket"]), gather.packed_commit(item["bucket"])]
        return [Shard(**shard) for record in records for shard in record["shards"]]

    def conclude(self, commits: dict[str, Record], plan: Item, made: list[Shard]) -> Manifest:
        """Audit, report, gates, then the manifest."""
        self._remove_strange(made)
        started = time.monotonic()
        manifest = self._manifest(commits, plan, made)
        audited = audit(self.out, self.recipe.audit, stage.rules(self.recipe))
        self._write_report(manifest, audited)
        self.seconds["report"] = time.monotonic() - started
        if self.parent is None:  # gates judge filters: documents that are taken out say nothing about these
            check_gates(audited, self.recipe.audit.gate)
        side_files = [File(**asdict(shards.file_entry(self.out, path))) for path in sorted(self.side_files)]
        return write_manifest(
            self.out, manifest.model_copy(update={"side_files": side_files, "run": self._run_facts()})
        )

    def _manifest(self, commits: dict[str, Record], plan: Item, made: list[Shard]) -> Manifest:
        """The manifest without what is written after it is made."""
        recipe = self.recipe
        described = facts.described(recipe, commits) if self.parent is None else facts.described_by(self.parent)
        return Manifest(
            **described,
            name=recipe.name,
            seed=recipe.seed,
            shards=made,
            files=[File(**asdict(entry)) for entry in sorted(self.files, key=lambda entry: entry.path)],
            tokenizer=gather.tokenizer_facts(self.out, plan["tokenizer"], plan["pretokenizer"]),
            packing=facts.packing_facts(recipe, made, self.slices),
            counts=ledger.counts(self.out),
            schemas=facts.schema_texts(recipe),
            parents=[*(corpus.digest for corpus in self.older), *([self.removals["parent"]] if self.removals else [])],
        )

    def _write_report(self, manifest: Manifest, audited: dict[str, Any]) -> None:
        content = manifest.model_dump(mode="json", include={"name", "recipe", "counts", "sources", "versions"})
        content["tokens"] = manifest.packing.model_dump() | {"vocab_size": manifest.tokenizer.vocab_size}
        content["packed_sources"] = facts.packed_sources(self.recipe, manifest.shards)
        content["audit"] = audited
        content["report_component_size"] = self.recipe.dedup.report_component_size
        content["item_files"] = facts.item_files(self.recipe)
        content["gates"] = verdicts(audited, self.recipe.audit.gate)
        content["stages"] = [
            {"name": name, "seconds": round(value, 3), "reused": self.reused.get(name, 0)}
            for name, value in self.seconds.items()
        ]
        report = build_report(self.out, content, facts.bounds_of(self.recipe))
        text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        shards.write_bytes(shards.join(self.out, "report.json"), text.encode("utf-8"))
        shards.write_bytes(shards.join(self.out, "report.html"), render(report).encode("utf-8"))

    def _once(self, name: str, folder: str, digest: str, make: Callable[[], list[FileEntry]]) -> None:
        """A stage with one commit record for all its files: used again if it is there as wanted, else made."""
        path = f"{folder}/commit.json"
        record, damaged = find_committed(self.out, shards.join(self.out, path), digest)
        self._tell_damage(name, damaged)
        started = time.monotonic()
        if record is None:
            record = write_commit(shards.join(self.out, path), digest, make())
        else:
            self.reused[name] = 1
        self.seconds[name] = time.monotonic() - started
        self.files += entries(record)
        self.side_files.append(path)

    def copy(self, task: Callable[[Item], Item], paths: list[str]) -> None:
        """Have files brought here, some in each task."""
        starts = range(0, len(paths), FILES_PER_TASK)
        items = [{"bucket": start, "paths": paths[start : start + FILES_PER_TASK]} for start in starts]
        for _ in self._map("copy", task, items):
            pass

    def _map_dedup(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        return self._map("dedup", task, items, f"dedup: {task.__name__.replace('_', ' ')}")

    def _map_lines(self, task: Callable[[Item], Item], items: list[Item]) -> Iterator[Item]:
        return self._map("lines", task, items, f"lines: {task.__name__.replace('_', ' ')}")

    def _map(
        self, name: str, task: Callable[[Item], Item], items: list[Item], label: str | None = None
    ) -> Iterator[Item]:
        """Run a task over items, telling the watcher of each result under its label.

        Results that come together are counted together, but for the last until it is told itself: by the first alone,
        speed and time left would be far off.
        """
        started, number, done_bytes = time.monotonic(), 0, 0
        sizes = {_key(item): int(item.get("input_bytes", 0)) for item in items}
        all_bytes = sum(sizes.values())
        together: list[Item] = []
        for result in self.runner.map(task, items):
            together.append(result)
            if self.runner.num_waiting:
                continue
            number += len(together)
            done_bytes += sum(sizes.get(_key(each), 0) for each in together)
            for each in together:
                self.reused[name] = self.reused.get(name, 0) + bool(each.get("reused"))
                done = number if each is together[-1] else number - 1
                self.watch(label or name, done, len(items), (done_bytes, all_bytes), each)
                yield each
            together = []
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def _tell_damage(self, name: str, damaged: list[str]) -> None:
        """Tell the watcher of damaged files that were found here, not in a task."""
        if damaged:
            self.watch(name, 1, 1, (0, 0), {"damaged": damaged})

    def _remove_strange(self, made: list[Shard]) -> None:
        """Remove what earlier runs of other inputs or settings left, so that the folder holds this corpus alone."""
        listed = {entry.path for entry in self.files} | set(self.side_files) | {shard.path for shard in made}
        for path in shards.list_files(self.out):
            top = path.split("/")[0]
            if path not in listed and (top in OUR_FOLDERS or top.startswith(OUR_FILES)):
                shards.remove(shards.join(self.out, path))

    def _run_facts(self) -> dict[str, Any]:
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        return {"runner": self.runner.name, "seconds": seconds, "reused": self.reused, "machine": platform.machine()}


def _key(item: Item) -> str:
    return str(item.get("unit_id") or item.get("unit", {}).get("unit_id") or item.get("bucket"))


def _num_signed(files: list[FileEntry]) -> int:
    return next(entry.rows for entry in files if entry.path.endswith("/signatures.parquet"))


def _contents(record: Record) -> list[str]:
    return [entry["sha256"] for entry in record["files"]]

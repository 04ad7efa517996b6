from collections import Counter
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from corpus.read.http import EncodingError, decoded_body, parse_message
from corpus.recipe_file import read_recipe
from corpus.sample import Truth, write_sample
from corpus.sample.contents import shingle_jaccard
from corpus.sample.grammar import LANGUAGES
from corpus.sample.pages import SHARES
from filters.base import Filter
from filters.fineweb import FineWeb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.language import Language
from filters.toxicity import Toxicity
from manifests.errors import RecipeError, StorageError
from tests.corpus.sample.helpers import labels, page_text, read_records, read_responses, read_truth, reasons

Sample = tuple[Path, Truth]


def texts_of(sample: Sample, kind: str, language: str | None = None) -> list[str]:
    """Main texts of the pages of a kind."""
    folder, _ = sample
    blocks = read_responses(folder)
    rows = [row for row in read_truth(folder) if row["kind"] == kind and row["url"] in blocks]
    wanted = [row["url"] for row in rows if language in (None, row["language"])]
    assert wanted
    return [extract_plain_text(page_text(blocks[url]), main_content=True) for url in wanted]


def test_the_same_seed_gives_the_same_bytes_in_another_folder(sample: Sample, tmp_path: Path) -> None:
    folder, truth = sample
    assert write_sample(str(tmp_path), seed=7, num_pages=400) == truth
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [
        "blocklist.txt",
        "recipe.toml",
        "truth.jsonl",
        *(f"warc/sample-0000{shard}.warc.gz" for shard in range(4)),
        "wet/sample-00000.warc.wet.gz",
    ]
    assert [(tmp_path / name).read_bytes() == (folder / name).read_bytes() for name in names] == [True] * len(names)


def test_another_seed_gives_other_pages(sample: Sample, tmp_path: Path) -> None:
    write_sample(str(tmp_path), seed=8, num_pages=200)
    first = {row["url"] for row in read_truth(sample[0])}
    assert first.isdisjoint(row["url"] for row in read_truth(tmp_path))


def test_less_than_200_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="num_pages = 199: at least 200"):
        write_sample(str(tmp_path), num_pages=199)


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="the sample cannot be written"):
        write_sample(str(tmp_path / "file"), num_pages=200)


def test_truth_names_every_record_of_the_archives_once(sample: Sample) -> None:
    folder, truth = sample
    rows = read_truth(folder)
    assert len(rows) == len({row["url"] for row in rows}) == truth.num_pages + truth.num_texts == 400 + 67
    # The three damaged tails: garbage hides its record, a cut member and a wrong length still name theirs.
    hidden = {row["url"] for row in rows if row.get("damage") in ("garbage", "truncated_member", "wrong_length")}
    assert len(hidden) == 3
    for path in sorted(folder.glob("warc/*")):
        kinds = WarcRecordType.response | WarcRecordType.revisit
        planted = {row["url"] for row in rows if row["file"] == f"warc/{path.name}"} - hidden
        assert {url for url, _ in read_records(path, kinds)} - hidden == planted
    wet = [url for path in folder.glob("wet/*") for url, _ in read_records(path, WarcRecordType.conversion)]
    assert wet == [row["url"] for row in rows if row["file"].startswith("wet/")]


def test_every_kind_is_planted_and_counted(sample: Sample) -> None:
    folder, truth = sample
    counted = Counter(row["kind"] for row in read_truth(folder))
    assert truth.kinds == dict(counted)
    assert set(truth.kinds) == {*SHARES, "article", "original", "cross_copy"}
    assert {row["damage"] for row in read_truth(folder) if row["kind"] == "broken"} == {
        *("bad_gzip", "no_status_line", "truncated_member", "wrong_length", "garbage")
    }


def test_twelve_languages_with_english_as_the_majority(sample: Sample) -> None:
    _, truth = sample
    assert set(truth.languages) == set(LANGUAGES)
    assert 0.5 < truth.languages["en"] / (truth.num_pages + truth.num_texts) < 0.62
    assert min(truth.languages.values()) >= 10


def test_every_page_has_its_request_and_metadata_as_in_common_crawl(sample: Sample) -> None:
    with (sample[0] / "warc" / "sample-00003.warc.gz").open("rb") as file:
        kinds = [record.headers["WARC-Type"] for record in ArchiveIterator(file)]
    counts = Counter(kinds)
    assert kinds[0] == "warcinfo"
    assert counts["request"] == counts["response"] == counts["metadata"] > 90


def test_lid_176_names_the_language_of_97_in_100_articles_after_extraction(sample: Sample) -> None:
    folder, _ = sample
    blocks = read_responses(folder)
    kinds = ("article", "original", "exact_copy", "near_copy", "legacy_encoding", "identity", "noise")
    rows = [row for row in read_truth(folder) if row["kind"] in kinds and row["url"] in blocks]
    found = labels(Language(), [extract_plain_text(page_text(blocks[row["url"]]), main_content=True) for row in rows])
    right = sum(row["language"] == label for row, label in zip(rows, found, strict=True))
    assert len(rows) > 200
    assert right >= 0.97 * len(rows)


def test_plain_english_articles_pass_the_quality_rules(sample: Sample) -> None:
    texts = texts_of(sample, "article", "en")
    for rule in (GopherRepetition(), GopherQuality(), FineWeb(), Toxicity()):
        passed = reasons(rule, texts).count(None)
        assert passed >= 0.97 * len(texts), rule.rule


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("spam", FineWeb()),
        ("repetitive", GopherRepetition()),
        ("short", GopherQuality()),
        ("list", FineWeb()),
        ("lorem", Language(keep=["en"])),
        ("code", FineWeb()),
        ("toxic", Toxicity()),
    ],
)
def test_pages_of_low_quality_fail_the_rule_made_for_them(sample: Sample, kind: str, rule: Filter) -> None:
    found = reasons(rule, texts_of(sample, kind))
    assert found.count(None) <= 0.1 * len(found)


def test_exact_copies_have_the_same_article_and_near_copies_the_stated_overlap(sample: Sample) -> None:
    folder, _ = sample
    blocks = read_responses(folder)
    rows = [row for row in read_truth(folder) if row["kind"] in ("exact_copy", "near_copy", "reworded")]
    closest: dict[str, list[float]] = {}
    for row in rows:
        html = [page_text(blocks[url]) for url in (row["url"], row["of"])]
        paragraphs = ["\n".join(line for line in page.split("\n") if line.startswith("<p>")) for page in html]
        overlap = shingle_jaccard(*paragraphs)
        closest.setdefault(row["kind"], []).append(overlap)
        assert abs(overlap - row.get("jaccard", 1.0)) < 0.05
    assert {kind: len(overlaps) for kind, overlaps in closest.items()} == {
        "exact_copy": 8,
        "near_copy": 8,
        "reworded": 3,
    }


def test_template_twins_share_their_notice_but_are_far_from_copies(sample: Sample) -> None:
    twins = [row for row in read_truth(sample[0]) if row["kind"] == "template_twin"]
    assert {row["twin"] for row in twins} == {row["url"] for row in twins}
    assert all(0.1 < row["jaccard"] < 0.5 for row in twins)


def test_broken_bodies_fail_as_they_should(sample: Sample) -> None:
    folder, _ = sample
    blocks = read_responses(folder)
    damage = {row["damage"]: blocks.get(row["url"]) for row in read_truth(folder) if row["kind"] == "broken"}
    packed, headless = damage["bad_gzip"], damage["no_status_line"]
    assert packed is not None
    assert headless is not None
    with pytest.raises(EncodingError):
        decoded_body(parse_message(packed), 1 << 30)
    assert parse_message(headless).status is None


def test_blocked_hosts_are_on_the_block_list(sample: Sample) -> None:
    folder, _ = sample
    listed = [line for line in (folder / "blocklist.txt").read_text().split("\n") if line and line[0] != "#"]
    hosts = [row["url"].split("/")[2] for row in read_truth(folder) if row["kind"] == "blocked"]
    assert hosts
    assert all(any(host.endswith("." + domain) for domain in listed) for host in hosts)


def test_the_recipe_is_valid_and_reads_both_sources(sample: Sample) -> None:
    folder, _ = sample
    recipe = read_recipe(str(folder / "recipe.toml"))
    assert [(source.name, source.format) for source in recipe.source] == [("crawl", "warc"), ("text", "wet")]
    assert [source.paths for source in recipe.source] == [
        [str(folder / "warc/*.warc.gz")],
        [str(folder / "wet/*.warc.wet.gz")],
    ]

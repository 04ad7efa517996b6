"""The report says what was read, kept and dropped, and is the same for the same corpus."""

import json
import re

import polars as pl
import pytest

from corpus import report_counts
from corpus.report import audit_tables, build_report, render
from corpus.report_charts import figures
from tests.conftest import build_local
from tests.corpus.report_corpora import ITEM, ITEM_FILE, SCORE, WORDS, facts_of, report_of
from tests.corpus.synthetic import BOUNDS, row, write_corpus, write_unit


def test_the_funnel_leads_from_records_to_kept_documents(nine):
    steps = [(step["label"], step["num_left"], step["num_lost"]) for step in report_of(nine)["funnel"]]
    assert [step for step in steps if step[2] or "after" not in step[0]] == [
        ("records read", 9, 0),
        ("pages and texts", 9, 0),
        ("documents with text", 8, 1),
        ("after language", 7, 1),
        ("after gopher_quality", 5, 2),
        ("after dedup", 4, 1),
    ]


def test_only_rules_of_the_recipe_are_named_as_steps_that_took_nothing(nine):
    page = render(report_of(nine))
    (sentence,) = re.findall(r"Steps that took nothing: ([^<]*)\.</p>", page)
    assert sentence == "gopher_repetition, toxicity"  # not mentions and text, which nobody can configure


def test_totals_add_up_to_the_records(nine):
    totals = report_of(nine)["totals"]
    expected = {"num_records": 9, "num_kept": 4, "num_dropped": 3, "num_duplicate": 1, "num_failed": 1}
    assert totals == {**expected, "num_removed": 0, "kept_bytes": 400, "kept_tokens": 32}


def test_documents_that_were_taken_out_are_the_last_step_and_none_of_their_text_is_shown(tmp_path):
    rows = [row(0), row(1, fate="removed", stage="remove", reason="remove.urls")]
    write_unit(tmp_path, "u", rows, ["a text that stays", "a text that goes"], {})
    report = report_of(tmp_path)
    assert report["totals"]["num_removed"] == 1
    last = report["funnel"][-1]
    assert (last["label"], last["num_left"], last["num_lost"]) == ("after remove", 1, 1)
    assert [(drop["stage"], drop["num_documents"]) for drop in report["drops"]] == [("remove", 1)]
    page = render(report)
    assert "<b>1</b><span>documents taken out</span>" in page
    assert "a text that stays" in page
    assert "a text that goes" not in page


def test_drops_are_counted_by_reason_in_run_order(nine):
    rows = [(drop["stage"], drop["reason"], drop["num_documents"]) for drop in report_of(nine)["drops"]]
    assert rows == [
        ("read", "read.failed", 1),
        ("language", "language.low_score", 1),
        ("gopher_quality", "gopher_quality.too_few_words", 2),
        ("dedup", "dedup.near", 1),
    ]


def test_languages_domains_errors_and_components_are_counted(nine):
    report = report_of(nine)
    assert report["languages"] == [
        {"language": "en", "num_kept": 4, "num_lost": 3},
        {"language": "de", "num_kept": 0, "num_lost": 1},
    ]
    assert report["domains"] == {
        "kept": [
            {"domain": "a.co.uk", "num_kept": 2, "num_lost": 0},
            {"domain": "c.org", "num_kept": 1, "num_lost": 1},
        ],
        "lost": [{"domain": "c.org", "num_kept": 1, "num_lost": 1}],
    }
    assert report["errors"] == [{"error": "no HTTP header", "num_records": 1}]
    assert report["components"] == [{"size": "2", "num_components": 1, "num_documents": 2}]


def test_histograms_tell_kept_from_dropped_by_this_measure_and_by_others(nine):
    report = report_of(nine)
    by_column = {item["column"]: item for item in report["histograms"]}
    assert set(by_column) == {WORDS, SCORE}  # measures without any value have no histogram
    assert report["constant_measures"] == [{"column": "num_bytes", "value": 100.0}]
    words = by_column[WORDS]
    assert [sum(words[key]) for key in ("kept", "dropped_here", "dropped_elsewhere")] == [2, 2, 1]
    assert words["scale"] == "log"  # because a bound lies at 100,000
    assert words["edges"][0] <= 3.0
    assert [bound["limit"] for bound in words["bounds"]] == [50.0, 1e5]
    score = by_column[SCORE]
    assert (score["scale"], score["edges"][0], score["edges"][-1]) == ("linear", 0.25, 0.9)
    assert (score["dropped_here"][0], score["kept"][-1], sum(score["kept"])) == (1, 1, 2)


def test_whole_numbers_with_a_small_range_have_a_bin_each(tmp_path):
    rows = [row(i, **{WORDS: float(i % 5)}) for i in range(10)]
    write_unit(tmp_path, "u1", rows, [""] * 10, {})
    bounds = [{"column": WORDS, "side": "max", "limit": 6.0, "reason": "gopher_quality.too_many_words"}]
    report = build_report(str(tmp_path), facts_of(tmp_path), bounds)
    words = next(item for item in report["histograms"] if item["column"] == WORDS)
    assert words["edges"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert words["kept"] == [2, 2, 2, 2, 2, 0, 0]


@pytest.mark.parametrize("top", [1, 2, 5, 8, 9, 12, 28, 46])
def test_every_whole_number_is_counted_in_its_own_bin(tmp_path, top):
    rows = [row(100 * i + j, **{WORDS: float(i)}) for i in range(top + 1) for j in range(i + 1)]
    write_unit(tmp_path, "u1", rows, [""] * len(rows), {})
    bounds = [{"column": WORDS, "side": "min", "limit": 1.0, "reason": "gopher_quality.too_few_words"}]
    report = build_report(str(tmp_path), facts_of(tmp_path), bounds)
    words = next(item for item in report["histograms"] if item["column"] == WORDS)
    assert words["edges"] == [float(i) for i in range(top + 2)]
    assert words["kept"] == [i + 1 for i in range(top + 1)]


def test_documents_whose_text_became_empty_are_counted_where_a_measure_rejected_them(tmp_path):
    few = {"fate": "dropped", "reason": "gopher_quality.too_few_words"}
    rows = [row(0, **{WORDS: 60.0}), row(1, **few, **{WORDS: 3.0}), row(2, num_bytes=0, **few, **{WORDS: 0.0})]
    rows.append(row(3, num_bytes=0, **few))  # measured before, but its score was not kept
    write_unit(tmp_path, "u1", rows, ["", "", "", ""], {})
    report = report_of(tmp_path)
    words = next(item for item in report["histograms"] if item["column"] == WORDS)
    (drop,) = report["drops"]
    assert words["num_dropped"] == drop["num_documents"] == 3
    assert [sum(words[key]) for key in ("kept", "dropped_here", "dropped_elsewhere")] == [1, 2, 0]
    assert words["edges"][0] == 0.0
    assert "3 rejected by it" in render(report)


def test_a_limit_between_whole_numbers_lies_between_bins(tmp_path):
    write_unit(tmp_path, "u1", [row(0, **{SCORE: 0.0}), row(1, **{SCORE: 1.0})], ["", ""], {})
    score = next(item for item in report_of(tmp_path)["histograms"] if item["column"] == SCORE)
    assert (score["scale"], len(score["kept"])) == ("linear", 48)
    assert (score["kept"][0], score["kept"][-1]) == (1, 1)


def test_bars_of_whole_numbers_stand_on_them_and_limits_between_the_last_allowed_and_the_first_rejected(tmp_path):
    write_unit(tmp_path, "u1", [row(i, **{WORDS: float(i)}) for i in range(3)], [""] * 3, {})
    bounds = [
        {"column": WORDS, "side": "min", "limit": 1.0, "reason": "gopher_quality.too_few_words"},
        {"column": WORDS, "side": "max", "limit": 1.0, "reason": "gopher_quality.too_many_words"},
    ]
    report = build_report(str(tmp_path), facts_of(tmp_path), bounds)
    (item,) = report["histograms"]
    assert (item["scale"], item["edges"]) == ("whole", [0.0, 1.0, 2.0, 3.0])
    figure = figures(report)["histogram-0"]
    layout = figure["layout"]
    assert figure["data"][0]["x"] == [0.0, 1.0, 2.0]
    assert figure["data"][0]["hovertext"] == ["0<br>kept: 1", "1<br>kept: 1", "2<br>kept: 1"]
    assert (layout["xaxis"]["range"], layout["xaxis"]["dtick"], layout["yaxis"]["dtick"]) == ([-0.5, 2.5], 1, 1)
    assert [line["x0"] for line in layout["shapes"]] == [0.5, 1.5]


def test_measures_with_one_value_over_all_documents_are_named_instead_of_drawn(tmp_path):
    rows = [row(i, num_bytes=100 + i, **{WORDS: 7.0, SCORE: i / 2}) for i in range(2)]
    write_unit(tmp_path, "u1", rows, ["", ""], {})
    report = report_of(tmp_path)
    assert [item["column"] for item in report["histograms"]] == ["num_bytes", SCORE]
    assert report["constant_measures"] == [{"column": WORDS, "value": 7.0}]
    page = render(report)
    assert "same value for all documents: <code>gopher_quality.num_words</code> (7)." in page


def test_one_outlier_does_not_flatten_a_histogram_and_is_still_counted(tmp_path):
    rows = [row(i, **{SCORE: i / 5000}) for i in range(5000)] + [row(5000, **{SCORE: 150.0})]
    write_unit(tmp_path, "u1", rows, [""] * 5001, {})
    score = next(item for item in report_of(tmp_path)["histograms"] if item["column"] == SCORE)
    assert score["edges"][-1] < 2.0
    assert sum(score["kept"]) == 5001


def test_evaluation_items_are_listed_by_the_documents_that_hold_them_with_the_least_of_these(tmp_path):
    def holding(position, item, file):
        return row(position, **{ITEM: item, ITEM_FILE: file})

    first = [row(0), holding(1, "b-1", 1.0), holding(2, "a-1", 0.0), holding(3, "", -1.0)]
    second = [holding(4, "b-1", 1.0), holding(5, "b-1", 0.0), holding(6, "b-1", 1.0)]
    write_unit(tmp_path, "u1", first, [""] * 4, {})
    write_unit(tmp_path, "u2", second, [""] * 3, {})
    least = min(found["doc_id"] for found in (first[1], second[0], second[2]))
    report = build_report(str(tmp_path), facts_of(tmp_path) | {"item_files": ["a.jsonl", "b.jsonl"]}, BOUNDS)
    assert report["contamination"] == {
        "num_items": 3,
        "rows": [
            {"item": "b-1", "file": "b.jsonl", "num_documents": 3, "doc_id": least},
            {"item": "a-1", "file": "a.jsonl", "num_documents": 1, "doc_id": first[2]["doc_id"]},
            {"item": "b-1", "file": "a.jsonl", "num_documents": 1, "doc_id": second[1]["doc_id"]},
        ],
    }
    section = render(report).split('<section id="contamination">')[1].split("</section>")[0]
    assert re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td class=\"n\">(.*?)</td>", section) == [
        ("b-1", "b.jsonl", "3"),
        ("a-1", "a.jsonl", "1"),
        ("b-1", "a.jsonl", "1"),
    ]
    assert "more items" not in section


def test_only_the_items_with_most_documents_are_listed_and_the_others_counted(tmp_path):
    rows = [row(number, **{ITEM: f"item {number:02}", ITEM_FILE: 0.0}) for number in range(report_counts.TOP + 2)]
    write_unit(tmp_path, "u1", [*rows, row(99, **{ITEM: "item 26", ITEM_FILE: 0.0})], [""] * (len(rows) + 1), {})
    report = report_of(tmp_path)
    listed = [found["item"] for found in report["contamination"]["rows"]]
    assert listed == ["item 26", *(f"item {number:02}" for number in range(report_counts.TOP - 1))]
    assert '<p class="note">2 more items were found' in render(report)


def test_a_page_without_evaluation_items_has_no_section_for_them(nine):
    report = report_of(nine)
    assert report["contamination"] == {"num_items": 0, "rows": []}
    assert "contamination" not in render(report)


def test_samples_show_the_edited_text_and_the_score_that_failed(nine):
    samples = {group["reason"]: group["documents"] for group in report_of(nine)["samples"]}
    assert list(samples) == ["dedup.near", "gopher_quality.too_few_words", "language.low_score", "kept"]
    few = {document["text"]: document["checks"] for document in samples["gopher_quality.too_few_words"]}
    assert few == {
        "edited text 3": [{"column": WORDS, "value": 3.0, "side": "min", "limit": 50.0}],
        "text 6": [{"column": WORDS, "value": 49.0, "side": "min", "limit": 50.0}],
    }
    (duplicate,) = samples["dedup.near"]
    assert (duplicate["duplicate_of"], duplicate["jaccard"], duplicate["text"]) == ("f" * 32, 0.75, "text 7")
    assert [(len(kept["text"]), kept["cut"]) for kept in samples["kept"] if kept["cut"]] == [(500, True)]


def test_samples_are_the_smallest_document_ids_whatever_the_order(tmp_path):
    rows = [row(i) for i in range(40)]
    texts = [found["doc_id"] for found in rows]
    write_unit(tmp_path / "one", "u1", rows, texts, {})
    write_unit(tmp_path / "two", "u1", rows[:10][::-1], texts[:10][::-1], {})
    write_unit(tmp_path / "two", "u2", rows[10:], texts[10:], {})
    found = [report_of(tmp_path / name)["samples"] for name in ("one", "two")]
    assert found[0] == found[1]
    assert [kept["text"] for kept in found[0][0]["documents"]] == sorted(texts, key=lambda text: text[16:])[:5]


def test_two_reports_of_one_corpus_differ_only_in_their_times(tmp_path):
    write_corpus(tmp_path, 400)
    first, second = report_of(tmp_path, seconds=1.0), report_of(tmp_path, seconds=2.0)
    assert first.pop("run") != second.pop("run")
    assert json.dumps(first) == json.dumps(second)


def test_a_page_made_from_report_json_is_the_same_page(nine):
    report = report_of(nine)
    assert render(json.loads(json.dumps(report, sort_keys=True))) == render(report)


def test_stages_whose_work_was_used_again_say_so(nine):
    stages = [
        {"name": "score", "seconds": 0.004, "reused": 5},
        {"name": "dedup", "seconds": 3.0, "reused": 2},
        {"name": "encode", "seconds": 0.0, "reused": 0},
        {"name": "pack", "seconds": 1.0},
    ]
    page = render(build_report(str(nine), facts_of(nine) | {"stages": stages}, BOUNDS))
    rows = re.findall(r'<tr><td>(score|dedup|encode|pack)</td><td class="n">(.*?)</td>', page)
    assert rows == [
        ("score", "used again"),
        ("dedup", "3.0<small>2 items used again</small>"),
        ("encode", "0.0"),
        ("pack", "1.0"),
    ]


def test_the_page_says_of_each_gate_whether_it_is_met(nine):
    gates = [{"text": "* may drop at most 40.0% by language", "met": True}, {"text": "<b>url</b>: 3%", "met": False}]
    report = build_report(str(nine), facts_of(nine) | {"gates": gates}, BOUNDS)
    assert report["gates"] == gates
    page = render(report)
    rows = re.findall(r'<tr><td class="gate (met|unmet)">(.*?)</td><td class="wide">(.*?)</td></tr>', page)
    assert rows == [
        ("met", "met", "* may drop at most 40.0% by language"),
        ("unmet", "NOT MET", "&lt;b&gt;url&lt;/b&gt;: 3%"),
    ]
    assert page.index('<section id="gates">') < page.index('<section id="funnel">')


def test_a_page_without_gates_has_no_section_for_them(nine):
    report = report_of(nine)
    assert report["gates"] == []
    assert "#gates" not in render(report)
    assert '<section id="gates">' not in render(report)


def test_a_corpus_without_any_record_still_has_a_page(tmp_path):
    write_unit(tmp_path, "u1", [], [], {})
    report = report_of(tmp_path)
    assert (report["totals"]["num_records"], report["samples"], report["histograms"]) == (0, [], [])
    assert "Nothing was dropped." in render(report)


def test_audit_cells_are_marked_where_the_interval_leaves_out_all_documents():
    def line(name, value, num_dropped, low, high):
        ratio = {
            "num_reached": 100,
            "num_dropped": num_dropped,
            "drop_ratio": num_dropped / 100,
            "low": low,
            "high": high,
        }
        return [{"slice": name, "value": value, "rule": rule, **ratio} for rule in ("*", "r")]

    rows = [
        *line("all", "all", 20, 0.1, 0.3),
        *line("language", "a", 50, 0.4, 0.6),
        *line("language", "b", 5, 0.0, 0.1),
    ]
    rows += line("language", "c", 25, 0.15, 0.35)
    (table,) = audit_tables({"rules": ["r", "idle"], "rows": rows})
    assert table["rules"] == ["*", "r"]
    assert [(found["value"], found["cells"][0]["mark"]) for found in table["rows"]] == [
        ("a", "more"),
        ("b", "less"),
        ("c", ""),
    ]


def test_intervals_in_the_tables_of_the_audit_are_short_and_names_of_rules_may_break(tmp_path):
    write_corpus(tmp_path, 300)
    page = render(report_of(tmp_path))
    intervals = re.findall(r"<small>([^<]*)</small></td>", page[page.index('<section id="audit">') :])
    assert intervals
    assert not [text for text in intervals if not re.fullmatch(r"[0-9.]+–[0-9.]+%", text)]
    assert '<th class="n">gopher_<wbr>quality</th>' in page


def test_records_that_are_no_pages_are_a_step_of_their_own_and_in_no_domain():
    columns = {"fate": pl.String, "stage": pl.String, "reason": pl.String, "documents": pl.Int64}
    rows = [
        ("dropped", "read", "read.record_type", 5),
        ("dropped", "read", "read.http_status", 2),
        ("kept", None, None, 3),
    ]
    fates = pl.DataFrame(rows, schema=columns, orient="row").with_columns(bytes=pl.lit(0), tokens=pl.lit(0))
    steps = [(step["label"], step["num_left"], step["num_lost"]) for step in report_counts.funnel(fates, [])]
    assert steps == [("records read", 10, 0), ("pages and texts", 5, 5), ("documents with text", 3, 2)]


def test_a_build_lists_the_evaluation_items_that_it_found(tmp_path):
    item = "Name the nine muses of the Greeks in the order of their birth."
    (tmp_path / "muses.jsonl").write_text(json.dumps({"id": "muses-7", "text": item}), "utf-8")
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": "other", "text": "Count the primes."}), "utf-8")
    texts = [f"A page about {number} things. {item if number % 3 == 0 else ''}" for number in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    (tmp_path / "recipe.toml").write_text(
        """
name = "small"
[[source]]
name = "s"
format = "jsonl"
paths = ["a.jsonl"]
[[filter]]
rule = "decontaminate"
files = ["other.jsonl", "muses.jsonl"]
[tokenize]
tokenizer = "train:300"
[pack]
length = 64
""",
        "utf-8",
    )
    build_local(tmp_path / "recipe.toml", tmp_path / "out")
    (found,) = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["contamination"]["rows"]
    assert (found["item"], found["file"], found["num_documents"]) == ("muses-7", "muses.jsonl", 10)
    assert '<section id="contamination">' in (tmp_path / "out" / "report.html").read_text("utf-8")

"""The card of the toxicity classifier: how good it is on texts it has not seen, and for whom it is not."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.classifier_card import markdown_table
from corpus.classifier_metrics import average_precision, roc_auc
from corpus.normalize import normalize
from corpus.read import UnitReader
from corpus.recipe import Normalize, Source
from corpus.toxicity_model import (
    CONFIG,
    HELD_OUT,
    NEUTRAL,
    TRAINED,
    Comment,
    as_prose,
    comments,
    neutral_texts,
    records,
)
from corpus.units import plan_units
from filters.kernels.buffers import text_buffers
from filters.toxicity import Toxicity
from filters.toxicity_model import WINDOW_WORDS, toxicity_scores
from manifests import shards

_LIMITS = (0.1, 0.2, 0.3, 0.5)
_NEUTRAL_MENTIONS = ("ident_neutral_nh", "ident_pos_nh")
_MIN_PAGES = 20  # of a language, to say a share

Scores = npt.NDArray[np.float64]
Rows = list[tuple[object, ...]]


def write_card(data: str, model: str, num_lines: dict[str, int]) -> str:
    """The card as Markdown. num_lines: how many lines of each label the model was trained on."""
    limit = float(Toxicity.model_fields["max_score"].default)
    sections = (
        _head(model, num_lines, limit),
        _sets(data, model, limit),
        _hatecheck(data, model, limit),
        _groups(data, model, limit),
        _languages(data, model, limit),
        _pages(data, model, limit),
        _sources(),
    )
    return "\n".join(line for section in sections for line in [*section, ""])


def _scores(model: str, texts: Sequence[str]) -> Scores:
    return toxicity_scores(text_buffers(pa.array(list(texts), pa.large_string())), model)


def _head(model: str, num_lines: dict[str, int], limit: float) -> list[str]:
    trained = ", ".join(f"{count:,} {label}" for label, count in num_lines.items())
    return [
        "# toxicity.ftz",
        "",
        "A small fastText classifier of abuse in English: hate, insults, threats. The filter `toxicity` uses it where",
        "the recipe names no other. Made by `python -m corpus.toxicity_model`; the same data give the same bytes.",
        "",
        f"- {Path(model).stat().st_size:,} bytes, SHA-256 {shards.file_digest(model)}",
        f"- trained on {trained} lines: {CONFIG.model_dump(mode='json')}",
        "- it sees words in lower case, no punctuation, and all terms of the identity lexicon as one word, so that it",
        "  cannot tell groups apart",
        f"- a text's score is the mean over windows of {WINDOW_WORDS} words; the filter drops above {limit}",
        "",
        "Not for: moderating people, judging single sentences, languages other than English. Hate without rude words",
        "passes; quoted and reported abuse scores like abuse.",
        "",
        "The settings and the limit were chosen with the tables below in view, so these flatter it a little.",
    ]


def _sets(data: str, model: str, limit: float) -> list[str]:
    by_name: dict[str, list[Comment]] = defaultdict(list)
    for chosen in TRAINED:
        for comment in comments(data, chosen):
            if comment.is_held_out:
                by_name[comment.name].append(comment)
    for record in records(data, "toxicity/vicomtech_forum_sentences"):
        if record["label"] in ("hate", "noHate"):
            by_name["white-supremacist forum (unseen)"].append(_as_comment(record, record["label"] == "hate"))
    for record in records(data, "toxicity/hatecheck_en"):
        by_name["HateCheck (unseen)"].append(_as_comment(record, record["label"] == "hateful"))
    rows: Rows = []
    for name, found in by_name.items():
        scores, toxic = _scores(model, [c.text for c in found]), np.array([c.toxic for c in found])
        both = bool(toxic.any() and not toxic.all())
        rows.append(
            (
                name,
                len(found),
                int(toxic.sum()),
                _figure(roc_auc(scores, toxic)) if both else "",
                _figure(average_precision(scores, toxic)) if both else "",
                _share(scores[toxic] > limit),
                _share(scores[~toxic] > limit),
            )
        )
    offensive = [as_prose(r["text"]) for r in records(data, "toxicity/davidson_tweets") if r["label"] == "offensive"]
    flagged = _share(_scores(model, offensive) > limit)
    return [
        f"## Sets (a share of {HELD_OUT} of each was held out; unseen: never trained on)",
        "",
        *markdown_table(
            ("set", "texts", "toxic", "ROC AUC", "average precision", f"toxic above {limit}", f"others above {limit}"),
            rows,
        ),
        "",
        f"Of the {len(offensive):,} tweets that Davidson et al. call offensive but not hateful {flagged} are above",
        f"{limit}. Many are everyday swearing in African American English, so none of them was trained on.",
    ]


def _as_comment(record: dict[str, Any], toxic: bool) -> Comment:
    return Comment("", as_prose(record["text"]), toxic, "")


def _hatecheck(data: str, model: str, limit: float) -> list[str]:
    rows = records(data, "toxicity/hatecheck_en")
    hateful = np.array([row["label"] == "hateful" for row in rows])
    right = (_scores(model, [row["text"] for row in rows]) > limit) == hateful
    names = np.array([row["functionality"] for row in rows])
    targets = np.array([row["target"] for row in rows])
    by_function = [
        (
            name,
            "hateful" if hateful[names == name].all() else "not",
            int((names == name).sum()),
            _share(right[names == name]),
        )
        for name in sorted(set(names.tolist()))
    ]
    by_target = [
        (name or "none", _share(right[here]), _share(right[here & hateful]), _share(right[here & ~hateful]))
        for name in sorted(set(targets.tolist()))
        for here in [targets == name]
    ]
    return [
        f"## HateCheck (Röttger et al. 2021): share judged rightly at {limit}; none of it was trained on",
        "",
        *markdown_table(("functionality", "gold", "texts", "accuracy"), by_function),
        "",
        *markdown_table(("target", "accuracy", "on hateful", "on not hateful"), by_target),
    ]


def _groups(data: str, model: str, limit: float) -> list[str]:
    mentions: dict[str, list[str]] = defaultdict(list)
    for row in records(data, "toxicity/hatecheck_en"):
        if row["functionality"] in _NEUTRAL_MENTIONS:
            mentions[f"HateCheck, {row['target']}"].append(row["text"])
    for chosen in TRAINED:
        if chosen.name in ("madlibs", "templates"):
            found = [c.text for c in comments(data, chosen) if c.is_held_out and not c.toxic]
            mentions[f"{chosen.name}, held out"] += found
    others = [c.text for c in neutral_texts(data) if c.is_held_out and not c.name.startswith("bias/")]
    mentions = {name: found for name, found in mentions.items() if found}
    measured = {**mentions, "harmless texts of no group, held out": others}
    rows: Rows = []
    for name, found in measured.items():
        scores = _scores(model, found)
        rows.append((name, len(found), _share(scores > limit), _figure(scores.mean()), _figure(scores.max())))
    every = _scores(model, [text for found in mentions.values() for text in found]) > limit
    gap = float(every.mean() - (_scores(model, others) > limit).mean())
    return [
        "## Harmless sentences that only mention a group",
        "",
        *markdown_table(("sentences", "texts", f"above {limit}", "mean score", "highest"), rows),
        "",
        f"Gap: harmless sentences with a group are above {limit} more often than those without by {gap:+.4f}.",
        *_swapped(data, model),
    ]


def _swapped(data: str, model: str) -> list[str]:
    """Wikipedia comments and the same with other groups' names."""
    pairs: dict[str, dict[str, str]] = defaultdict(dict)
    for row in records(data, "toxicity/wikipedia_comments"):
        pairs[str(row["rev_id"])][row["variant"]] = row["text"]
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    before, after = (_scores(model, [pair[variant] for pair in whole]) for variant in ("nonfuzzed", "fuzzed"))
    gaps = np.abs(before - after)
    return [
        f"Swapping the names of groups in {len(whole):,} Wikipedia comments changes the score by {gaps.mean():.4f} on",
        f"average and by {gaps.max():.4f} at most.",
    ]


def _languages(data: str, model: str, limit: float) -> list[str]:
    by_language: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in records(data, "toxicity/hatecheck_multilingual"):
        by_language[row["lang"]].append(row)
    rows: Rows = []
    for language, found in sorted(by_language.items()):
        scores, hateful = _scores(model, [r["text"] for r in found]), np.array([r["label"] == "hateful" for r in found])
        rows.append(
            (
                language,
                _figure(roc_auc(scores, hateful)),
                _share(scores[hateful] > limit),
                _share(scores[~hateful] > limit),
            )
        )
    return [
        "## Other languages (Multilingual HateCheck): it finds nothing there, and alarms nobody",
        "",
        *markdown_table(("language", "ROC AUC", f"hateful above {limit}", f"others above {limit}"), rows),
    ]


def _pages(data: str, model: str, limit: float) -> list[str]:
    source = Source(name="web", format="wet", paths=[str(Path(data, "web", "wet", "*.wet.gz"))])
    by_language: dict[str, list[float]] = defaultdict(list)
    languages = {record["url"]: record["lang"] for record in _page_records(data)}
    for unit in plan_units(source):
        for table in UnitReader(unit, source):
            read = normalize(table.filter(pc.is_null(table["reason"])), Normalize())
            scores = toxicity_scores(text_buffers(read["text"]), model)
            for url, score in zip(read["url"].to_pylist(), scores.tolist(), strict=True):
                by_language[languages.get(url) or "und"].append(score)
    every = np.array([score for found in by_language.values() for score in found])
    rows: Rows = [("all", len(every), *(_share(every > high) for high in _LIMITS), _figure(every.max()))]
    for language, found in sorted(by_language.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        if len(found) >= _MIN_PAGES:
            scores = np.array(found)
            rows.append((language, len(found), *(_share(scores > high) for high in _LIMITS), _figure(scores.max())))
    return [
        f"## Web pages (whole text, with menus and comments): share above a limit; the filter's is {limit}",
        "",
        *markdown_table(("language", "pages", *(f"above {high}" for high in _LIMITS), "highest"), rows),
    ]


def _page_records(data: str) -> list[dict[str, Any]]:
    return records(str(Path(data)), "../web/pages")


def _sources() -> list[str]:
    trained = [(chosen.name, chosen.source) for chosen in TRAINED]
    return [
        "## Trained on",
        "",
        *(f"- {name}: {source}" for name, source in trained),
        *(f"- harmless: {source}" for *_, source in NEUTRAL),
        "",
        "Harmless texts are also cut short, and a copy of each has a group's name in place of one word, so that the",
        "name alone says nothing. Not trained on, since share-alike: Korean news comments and the white-supremacist",
        "forum (Vicomtech). Not trained on, so that it can judge: HateCheck, English and multilingual.",
    ]


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _share(flags: npt.NDArray[np.bool_]) -> str:
    return f"{flags.mean():.3f}" if len(flags) else ""

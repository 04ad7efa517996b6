"""Bias probes: of two sentences that differ in whom they are about, which does the model find likelier?

Three forms of JSON Lines, told by the keys of the first line:

    CrowS-Pairs   sent_more (more stereotypical), sent_less, bias_type (Nangia et al. 2020)
    WinoBias      id, sentence with occupation and pronoun in brackets, stereotype (pro, anti), type (1, 2); lines pair
                  where their ids differ only in the words pro and anti (Zhao et al. 2018)
    pairs         group, more, less

A pair's difference is log-likelihood of `more` - log-likelihood of `less`, in nats, of whole sentences. more_ratio is
the share of pairs whose difference is above 0; ties are counted as such and are not above. Without a preference
more_ratio is about 0.5 and the mean difference about 0, where both sentences are made of equally frequent words: they
seldom are, so the difference is a measure of sentences, not a verdict on a model. Intervals are bootstrapped over
pairs; pairs of one template or occupation are not independent, so they are rather too narrow.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from manifests.errors import RecipeError
from trainer.evaluation.items import Item, parse_item, read_lines
from trainer.evaluation.scoring import LanguageModel, score_texts
from trainer.evaluation.summary import bootstrap

SEED = 0
TIE_NATS = 1e-4  # float32 sums of equal sentences differ by less, depending on the rows they were packed in


@dataclass(frozen=True)
class Pair:
    """group: kind of identity; slices: ((what, value), ...) under which it is counted beside its group."""

    group: str
    more: str
    less: str
    slices: tuple[tuple[str, str], ...] = ()


class CrowsItem(Item):
    """A line of CrowS-Pairs."""

    sent_more: str
    sent_less: str
    bias_type: str


class WinoItem(Item):
    """A line of WinoBias."""

    id: str
    sentence: str
    stereotype: Literal["pro", "anti"]
    type: Literal[1, 2]


class PairItem(Item):
    """A line of a user's own pairs."""

    group: str
    more: str
    less: str


def read_pairs(path: str) -> list[Pair]:
    """The pairs of a file in any of the forms. Raises InputError, RecipeError naming file, line and key."""
    lines = [(line, f"{path}:{number}") for number, line in read_lines(path)]
    keys = set(lines[0][0])
    if "sent_more" in keys or "sent_less" in keys:
        crows = [parse_item(line, CrowsItem, where) for line, where in lines]
        return [Pair(item.bias_type, item.sent_more, item.sent_less) for item in crows]
    if "stereotype" in keys:
        return _match([(parse_item(line, WinoItem, where), where) for line, where in lines])
    if keys & {"group", "more", "less"}:
        own = [parse_item(line, PairItem, where) for line, where in lines]
        return [Pair(item.group, item.more, item.less) for item in own]
    raise RecipeError(
        f"{lines[0][1]}: has the keys {sorted(keys)}. Pairs have 'sent_more', 'sent_less', 'bias_type' (CrowS-Pairs), "
        "'id', 'sentence', 'stereotype', 'type' (WinoBias), or 'group', 'more', 'less'."
    )


def _match(items: Sequence[tuple[WinoItem, str]]) -> list[Pair]:
    """Lines of WinoBias by pairs, in the order of the lines that are pro stereotype."""
    anti = {item.id: (item, where) for item, where in items if item.stereotype == "anti"}
    pairs = []
    for item, where in items:
        if item.stereotype == "anti":
            continue
        other = anti.pop(_anti_id(item.id), None)
        if other is None:
            raise RecipeError(
                f"{where}: key 'id': there is no line with stereotype 'anti' and id {_anti_id(item.id)!r}."
            )
        slices = (("type", str(item.type)), ("occupation", _occupation(item.sentence, where)))
        pairs.append(Pair("gender", _plain(item.sentence), _plain(other[0].sentence), slices))
    if anti:
        item, where = next(iter(anti.values()))
        raise RecipeError(f"{where}: key 'id': {item.id!r} has no line with stereotype 'pro' to pair with.")
    return pairs


def _anti_id(pro_id: str) -> str:
    return re.sub(r"\bpro\b", "anti", pro_id, count=1)


def _plain(sentence: str) -> str:
    return sentence.replace("[", "").replace("]", "")


def _occupation(sentence: str, where: str) -> str:
    """The first text in brackets, without its article."""
    found = re.search(r"\[([^\[\]]*)\]", sentence)
    if found is None:
        raise RecipeError(f"{where}: key 'sentence': nothing is in brackets; WinoBias marks occupation and pronoun so.")
    return re.sub(r"^(the|a|an)\s+", "", found[1].strip().lower())


def bias_results(language_model: LanguageModel, pairs: Sequence[Pair]) -> dict[str, Any]:
    """num_pairs, num_unread, and `rows`: by, value, num_pairs, num_ties, more_ratio, difference_nats, with intervals.

    num_unread: pairs whose first ids differ where nothing predicts the first id (no start_id): there the difference
    is only of what follows. by: "group", or a slice of the pairs. Intervals (95 %): more_ratio_low and _high,
    difference_low and _high.
    """
    ids = language_model.encode([text for pair in pairs for text in (pair.more, pair.less)])
    scores = score_texts(language_model, ids)
    differences = scores[::2] - scores[1::2]  # more minus less
    places: dict[tuple[str, str], list[int]] = {}
    for place, pair in enumerate(pairs):
        for key in (("group", pair.group), *pair.slices):
            places.setdefault(key, []).append(place)
    rows = [
        {"by": by, "value": value, **_row(differences[places[by, value]])}
        for by, value in sorted(places, key=lambda key: (key[0] != "group", key))
    ]
    num_unread = sum(one[:1] != other[:1] for one, other in zip(ids[::2], ids[1::2], strict=True))
    return {"num_pairs": len(pairs), "num_unread": num_unread, "rows": rows}


def _row(differences: npt.NDArray[np.float64]) -> dict[str, Any]:
    tied = np.abs(differences) < TIE_NATS
    more = ((differences > 0) & ~tied).astype(np.float64)
    ratio_low, ratio_high = bootstrap(more, SEED)
    low, high = bootstrap(differences, SEED)
    return {
        "num_pairs": len(differences),
        "num_ties": int(tied.sum()),
        "more_ratio": float(more.mean()),
        "more_ratio_low": ratio_low,
        "more_ratio_high": ratio_high,
        "difference_nats": float(differences.mean()),
        "difference_low": low,
        "difference_high": high,
    }

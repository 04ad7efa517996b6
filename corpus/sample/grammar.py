"""Articles made from word lists: per language a few topics, each with subjects, predicates, facts and slot fillers.

The lists are the files text/<language>*.toml. A slot `{name}` is filled from the topic's list of that name, else from
the language's. Lists are drawn without putting back, so that an article hardly repeats itself, and slots stand so
close that two articles share few runs of five words.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from random import Random
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ja", "zh", "ar")
# Written without blanks between words: sentences follow each other directly.
UNSPACED = ("ja", "zh")
# Clauses of a shape that name a subject and a predicate; "2" marks those of its second clause.
_CLAUSE_SLOTS = ("subj", "pred", "verb", "rest")

_SLOT = re.compile(r"\{([a-z_]+)(2?)\}")
_ITEM_GAP = re.compile(r"\n|\s+\|\s+")
_FIRST_LETTER = re.compile(r"[^\W\d_]")

Lists = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Grammar:
    """The word lists of one language: `common` for all topics, `topics` by name, `ui` for what stands around."""

    language: str
    shapes: Sequence[str]
    common: Lists
    topics: Mapping[str, Lists]
    ui: Lists
    extra: Mapping[str, Lists]  # identity, toxic, spam; only English has them
    polish: Sequence[tuple[re.Pattern[str], str]]  # applied to whole sentences in order


@dataclass(frozen=True)
class Article:
    """A headline and paragraphs of sentences; `text` is what an extractor should give back, without the headline."""

    language: str
    topic: str
    title: str
    paragraphs: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """Paragraphs as lines."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """One string per paragraph."""
        gap = "" if self.language in UNSPACED else " "
        return [gap.join(sentences) for sentences in self.paragraphs]


@lru_cache(maxsize=len(LANGUAGES))
def load_grammar(language: str) -> Grammar:
    """The grammar of one of LANGUAGES, from the files that come with the package."""
    sections: dict[str, Any] = {}
    files = resources.files("corpus.sample").joinpath("text").iterdir()
    for file in sorted(files, key=lambda each: each.name):
        if file.name.split(".")[0].split("_")[0] == language and file.name.endswith(".toml"):
            for name, section in tomllib.loads(file.read_text("utf-8")).items():
                sections.setdefault(name, {}).update(section)
    polish = [(re.compile(pattern), new) for pattern, new in sections.get("polish", {}).get("rules", [])]
    return Grammar(
        language=language,
        shapes=_items(sections["shapes"]["plain"]),
        common=_lists(sections["common"]),
        topics={name: _lists(lists) for name, lists in sorted(sections["topic"].items())},
        ui=_lists(sections["ui"]),
        extra={name: _lists(sections[name]) for name in ("identity", "toxic", "spam") if name in sections},
        polish=polish,
    )


def _lists(section: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: _items(text) for name, text in section.items()}


def _items(text: str) -> list[str]:
    return [item.strip() for item in _ITEM_GAP.split(text) if item.strip()]


class Writer:
    """Writes the sentences of one text; every list is drawn to its end before an item comes again."""

    def __init__(self, grammar: Grammar, lists: Lists, rng: Random) -> None:
        self._grammar = grammar
        self._lists = {**grammar.common, **lists}
        self._rng = rng
        self._decks: dict[str, list[str]] = {}

    def draw(self, name: str) -> str:
        """The next item of a list, slots not yet filled."""
        deck = self._decks.get(name)
        if not deck:
            deck = self._decks[name] = list(self._lists[name])
        index = int(self._rng.random() * len(deck))
        deck[index], deck[-1] = deck[-1], deck[index]
        return deck.pop()

    def fill(self, template: str) -> str:
        """The template with every slot filled, also the slots of its fillers."""
        clauses: dict[str, str] = {}
        parts, end = [], 0
        for match in _SLOT.finditer(template):
            parts.append(template[end : match.start()])
            parts.append(self._slot(match[1], match[2], clauses))
            end = match.end()
        return "".join([*parts, template[end:]])

    def sentence(self, template: str) -> str:
        """A whole sentence: filled, polished, with a capital at its start."""
        text = self.fill(template)
        for pattern, new in self._grammar.polish:
            text = pattern.sub(new, text)
        first = _FIRST_LETTER.search(text)
        return text if first is None else text[: first.start()] + first[0].upper() + text[first.end() :]

    def sentences(self, number: int) -> list[str]:
        """Sentences of any shape of the language."""
        shapes: list[str] = []
        while len(shapes) < number:
            shapes.extend(self._rng.sample(self._grammar.shapes, len(self._grammar.shapes)))
        return [self.sentence(shape) for shape in shapes[:number]]

    def _slot(self, name: str, clause: str, clauses: dict[str, str]) -> str:
        if name in _CLAUSE_SLOTS:
            return self._clause_slot(name, clause, clauses)
        if name in ("fact", "fact_low", "fact_say"):
            fact = self.fill(self.draw("facts"))
            return fact.rstrip(".") + "," if name == "fact_say" else fact
        return self.fill(self.draw(name + clause if name + clause in self._lists else name))

    def _clause_slot(self, name: str, clause: str, clauses: dict[str, str]) -> str:
        """Verb and rest of a clause come from one predicate ("verb ~ rest")."""
        if name == "subj":
            return self.fill(self.draw("subjects"))
        predicate = clauses.setdefault(clause, "") or self.fill(self.draw("predicates"))
        clauses[clause] = predicate
        verb, _, rest = predicate.partition(" ~ ")
        return {"pred": f"{verb} {rest}".strip(), "verb": verb, "rest": rest}[name]


def write_article(language: str, rng: Random, num_sentences: int) -> Article:
    """An article on one of the language's topics, in paragraphs of two to six sentences."""
    grammar = load_grammar(language)
    topic = rng.choice(list(grammar.topics))
    writer = Writer(grammar, grammar.topics[topic], rng)
    sentences = writer.sentences(num_sentences)
    paragraphs = []
    while sentences:
        size = rng.randint(2, 6)
        paragraphs.append(tuple(sentences[:size]))
        sentences = sentences[size:]
    return Article(language, topic, _title(writer, language), tuple(paragraphs))


def _title(writer: Writer, language: str) -> str:
    subject = writer.fill(writer.draw("subjects"))
    other = writer.fill("{town}")
    title = f"{subject}：{other}" if language in UNSPACED else f"{subject}, {other}"
    return title[:1].upper() + title[1:]

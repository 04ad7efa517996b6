import re
from itertools import combinations
from random import Random

import pytest

from corpus.sample.contents import shingle_jaccard
from corpus.sample.grammar import LANGUAGES, UNSPACED, load_grammar, write_article
from filters.language import Language
from tests.corpus.sample.helpers import labels


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_of_every_list_has_a_list_to_fill_it(language: str) -> None:
    grammar = load_grammar(language)
    built_in = {"subj", "subj2", "pred", "pred2", "verb", "verb2", "rest", "rest2", "fact", "fact_low", "fact_say"}
    sections = [*grammar.topics.values(), *grammar.extra.values(), {"shapes": grammar.shapes}]
    unknown = {
        slot
        for section in sections
        for items in section.values()
        for slot in re.findall(r"\{([^}]*)\}", " ".join(items))
        if slot not in section and slot not in grammar.common and slot not in built_in
    }
    assert unknown == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_article_has_no_open_slot_and_the_wanted_number_of_sentences(language: str) -> None:
    article = write_article(language, Random("slots"), 40)
    assert sum(len(paragraph) for paragraph in article.paragraphs) == 40
    assert not re.search(r"[{}~|]|  ", article.text)


def test_every_english_topic_has_at_least_25_templates_and_other_languages_30_in_all() -> None:
    sizes = {
        language: [len(lists["predicates"]) + len(lists["facts"]) for lists in load_grammar(language).topics.values()]
        for language in LANGUAGES
    }
    assert len(sizes["en"]) == 13
    assert min(sizes["en"]) >= 25
    assert min(sum(sizes[language]) for language in LANGUAGES) >= 30


def test_the_indefinite_article_fits_the_next_word() -> None:
    text = " ".join(write_article("en", Random(number), 40).text for number in range(20))
    assert re.findall(r"\b[Aa] [aeio]\w+", text) == [
        each for each in re.findall(r"\b[Aa] [aeio]\w+", text) if each.split()[1].startswith(("one", "eu"))
    ]
    assert " an old " in text


def test_the_same_random_numbers_give_the_same_article() -> None:
    assert write_article("fr", Random("same"), 12) == write_article("fr", Random("same"), 12)


def test_distinct_english_articles_share_few_runs_of_five_words() -> None:
    texts = [write_article("en", Random(f"en/{number}"), 20).text for number in range(60)]
    overlaps = [shingle_jaccard(first, second) for first, second in combinations(texts, 2)]
    assert len(overlaps) == 1770
    assert max(overlaps) < 0.1


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_distinct_articles_of_every_language_are_no_near_copies(language: str) -> None:
    texts = [write_article(language, Random(f"{language}/{number}"), 20).text for number in range(25)]
    if language in UNSPACED:
        texts = [" ".join(text) for text in texts]
    assert max(shingle_jaccard(first, second) for first, second in combinations(texts, 2)) < 0.3


def test_lid_176_names_the_language_of_97_in_100_articles() -> None:
    articles = [write_article(language, Random(number), 10) for language in LANGUAGES for number in range(15)]
    found = labels(Language(), [article.text for article in articles])
    right = sum(article.language == label for article, label in zip(articles, found, strict=True))
    assert len(articles) == 180
    assert right >= 0.97 * len(articles)

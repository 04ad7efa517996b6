"""What the planted pages say: spam, abuse, navigation, near copies and the rest, as Content of a page."""

import html
import re
from random import Random

from corpus.sample.grammar import Article, Writer, load_grammar, write_article
from corpus.sample.sites import Content

SHINGLE_WORDS = 5
_ZERO_WIDTH = ("\u200b", "\u00ad", "\u2060", "\ufeff")
_BLANKS = ("\u00a0\u00a0", "   ", "\t", "\u2003 ", " \u00a0 ")
_LOREM = """
lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua
enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo consequat duis aute irure in
reprehenderit voluptate velit esse cillum fugiat nulla pariatur excepteur sint occaecat cupidatat non proident culpa qui
officia deserunt mollit anim id est laborum
"""


def article_content(article: Article) -> Content:
    """The article as it is."""
    return Content(article.language, article.title, article.lines)


def with_sentences(article: Article, sentences: list[str], rng: Random) -> Article:
    """The article with each sentence put in at the end of some paragraph."""
    paragraphs = [list(paragraph) for paragraph in article.paragraphs]
    for sentence in sentences:
        rng.choice(paragraphs).append(sentence)
    return Article(article.language, article.topic, article.title, tuple(map(tuple, paragraphs)))


def identity_sentences(rng: Random, number: int) -> list[str]:
    """Neutral English sentences that mention groups of people."""
    grammar = load_grammar("en")
    writer = Writer(grammar, grammar.extra["identity"], rng)
    return [writer.sentence(writer.draw("sentence")) for _ in range(number)]


def edited(article: Article, rng: Random, ratio: float) -> Article:
    """A near copy: one run of sentences that holds about `ratio` of the words is written anew."""
    sentences = [sentence for paragraph in article.paragraphs for sentence in paragraph]
    sizes = [len(sentence) for sentence in sentences]
    start = rng.randrange(max(1, len(sentences) * 2 // 3))
    end, changed = start, 0
    while end < len(sentences) and (changed + sizes[end] / 2 < ratio * sum(sizes) or end == start):
        changed += sizes[end]
        end += 1
    grammar = load_grammar(article.language)
    sentences[start:end] = Writer(grammar, grammar.topics[article.topic], rng).sentences(end - start)
    queue = iter(sentences)
    paragraphs = tuple(tuple(next(queue) for _ in paragraph) for paragraph in article.paragraphs)
    return Article(article.language, article.topic, article.title, paragraphs)


def reworded(article: Article, rng: Random, ratio: float) -> Article:
    """A loose copy: `ratio` of the words, spread over the text, are replaced by other words of the article."""
    vocabulary = sorted({word for word in article.text.split() if word.isalpha() and len(word) > 4})

    def reword(sentence: str) -> str:
        words = sentence.split(" ")
        return " ".join(rng.choice(vocabulary) if word.isalpha() and rng.random() < ratio else word for word in words)

    paragraphs = tuple(tuple(map(reword, paragraph)) for paragraph in article.paragraphs)
    return Article(article.language, article.topic, article.title, paragraphs)


def shingle_jaccard(first: str, second: str) -> float:
    """Share of the five-word shingles of two texts that both have; words are split at white space."""
    one, two = _shingles(first), _shingles(second)
    return len(one & two) / len(one | two) if one or two else 0.0


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)}


def toxic_content(rng: Random) -> Content:
    """A page of insults and threats, with a plain sentence here and there."""
    grammar = load_grammar("en")
    writer = Writer(grammar, grammar.extra["toxic"], rng)
    abuse = [writer.sentence(writer.draw("sentence")) for _ in range(rng.randint(9, 16))]
    plain = Writer(grammar, grammar.topics["local_politics"], rng).sentences(rng.randint(1, 4))
    sentences = abuse + plain
    rng.shuffle(sentences)
    lines = [" ".join(sentences[start : start + 4]) for start in range(0, len(sentences), 4)]
    return Content("en", writer.fill("What {first} {last} wrote"), lines)


def spam_content(rng: Random) -> Content:
    """Search words in heaps: one list of phrases and links after another, no sentences."""
    spam = load_grammar("en").extra["spam"]
    writer = Writer(load_grammar("en"), spam, rng)
    topic = rng.sample(spam["good"], 3)
    lines = []
    for _ in range(rng.randint(12, 30)):
        phrases = [writer.fill(writer.draw("phrase")) for _ in range(rng.randint(2, 5))]
        lines.append(" | ".join([rng.choice(topic), *phrases]))
    blocks = [f'<p><a href="/go/{number}">{html.escape(line)}</a></p>' for number, line in enumerate(lines)]
    return Content("en", f"{topic[0]} {topic[1]} {topic[2]} best price", lines, blocks)


def repetitive_content(rng: Random) -> Content:
    """Two or three sentences said over and over, as machine-made pages do."""
    article = write_article("en", rng, 3)
    sentences = [sentence for paragraph in article.paragraphs for sentence in paragraph]
    lines = [rng.choice(sentences) for _ in range(rng.randint(15, 40))]
    return Content("en", article.title, lines)


def short_content(rng: Random, language: str) -> Content:
    """One sentence: less than the 50 words that most quality rules ask for."""
    article = write_article(language, rng, 1)
    return Content(language, article.title, article.lines)


def navigation_content(rng: Random) -> Content:
    """Nothing but headlines that link elsewhere."""
    titles = [write_article("en", rng, 1).title for _ in range(rng.randint(15, 30))]
    items = "".join(
        f'<li><a href="/{number}.html">{html.escape(title)}</a></li>' for number, title in enumerate(titles)
    )
    return Content("en", "Archive", titles, [f'<ul class="archive">{items}</ul>'])


def list_content(rng: Random) -> Content:
    """A table of things with bullets and numbers: text, but no sentences."""
    grammar = load_grammar("en")
    topic = grammar.topics[rng.choice(sorted(grammar.topics))]
    writer = Writer(grammar, topic, rng)
    names = sorted(name for name in topic if name not in ("subjects", "predicates", "facts"))
    lines = [
        f"• {writer.fill(writer.draw(rng.choice(names)))} ({rng.randint(1, 99)})" for _ in range(rng.randint(30, 60))
    ]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return Content("en", "Price list and stock", lines, [f'<ul class="stock">{items}</ul>'])


def lorem_content(rng: Random) -> Content:
    """The dummy text of printers."""
    lines = ["Lorem ipsum dolor sit amet."]
    for _ in range(rng.randint(5, 9)):
        words = [rng.choice(_LOREM.split()) for _ in range(rng.randint(25, 60))]
        lines.append(" ".join(words).capitalize() + ".")
    return Content("en", "Lorem ipsum", lines)


def code_content(rng: Random) -> Content:
    """A page of source code with curly braces and a sentence above it."""
    names = rng.sample(["row", "cell", "unit", "batch", "shard", "token", "score", "bucket", "page", "line"], 5)
    code = []
    for number, name in enumerate(names):
        code += [f"function {name}Count(items) {{", f"  let total = {number};", "  for (const item of items) {"]
        code += [
            f"    if (item.{name} > {rng.randint(1, 99)}) {{ total += item.{name}; }}",
            "  }",
            "  return total;",
            "}",
        ]
    intro = write_article("en", rng, 1).lines[0]
    blocks = [f"<p>{html.escape(intro)}</p>", f"<pre><code>{html.escape(chr(10).join(code))}</code></pre>"]
    return Content("en", f"Counting a {names[0]}", [intro, *code], blocks)


def mojibake(content: Content) -> Content:
    """UTF-8 read as Latin-1 and stored again: `é` becomes `Ã©`."""
    return Content(content.language, _misread(content.title), [_misread(line) for line in content.lines])


def _misread(text: str) -> str:
    return text.encode().decode("latin-1")


def with_noise(content: Content, rng: Random) -> Content:
    """Zero-width characters inside words, odd blanks between them, and paragraphs of blanks."""
    lines = []
    for line in content.lines:
        words = [_noisy_word(word, rng) for word in line.split(" ")]
        lines.append(re.sub(" ", lambda _: rng.choice(_BLANKS) if rng.random() < 0.1 else " ", " ".join(words)))
        lines += ["\u00a0"] * rng.randint(0, 3)
    return Content(content.language, content.title, lines)


def _noisy_word(word: str, rng: Random) -> str:
    if len(word) < 6 or rng.random() > 0.15:
        return word
    middle = len(word) // 2
    return word[:middle] + rng.choice(_ZERO_WIDTH) + word[middle:]

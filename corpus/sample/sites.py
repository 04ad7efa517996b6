"""The invented web sites of the sample and the HTML frames around their pages.

Hosts stand under the reserved names .example, .test and .invalid (RFC 2606), so that none can be a real site.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from random import Random
from string import Template

from corpus.sample.grammar import LANGUAGES, load_grammar

FRAMES = ("newspaper", "blog", "tables", "portal", "wiki", "plain")
BLOCKED_HOSTS = ("pill-palace.test", "lucky-spin-casino.test", "replica-bazaar.invalid")

_NUM_ENGLISH_SITES = 30
_NUM_OTHER_SITES = 3
_TOP_LEVEL = ("example", "example", "example", "test", "invalid")
_FIRST = (
    *("harbour", "copper", "willow", "lantern", "meadow", "granite", "river", "cedar"),
    *("amber", "northern", "quiet", "silver", "market", "orchard", "castle", "juniper"),
)
_SECOND = (
    *("gazette", "journal", "review", "notes", "courier", "almanac"),
    *("observer", "letters", "bulletin", "weekly", "post"),
)
_RIGHT_TO_LEFT = ("ar",)
_NUM_TEXT_NAVIGATION = 4  # more short lines would make short articles look like lists


@dataclass(frozen=True)
class Site:
    """A host with a name, a language and one of FRAMES."""

    host: str
    name: str
    language: str
    frame: str


@dataclass(frozen=True)
class Content:
    """What a page is about: `lines` of text, or `blocks` of HTML where paragraphs are not enough.

    comments: text of each visitor's comment, below the article.
    """

    language: str
    title: str
    lines: Sequence[str]
    blocks: Sequence[str] = ()
    comments: Sequence[str] = ()
    links: Sequence[str] = field(default_factory=tuple)

    def body(self) -> str:
        """The HTML of the article."""
        return "\n".join(self.blocks or [f"<p>{html.escape(line, quote=False)}</p>" for line in self.lines])


@lru_cache(maxsize=1)
def all_sites() -> tuple[Site, ...]:
    """63 sites: 30 in English, three in each other language; the same in every crawl."""
    languages = ["en"] * _NUM_ENGLISH_SITES
    languages += [language for language in LANGUAGES if language != "en" for _ in range(_NUM_OTHER_SITES)]
    return tuple(_site(number, language) for number, language in enumerate(languages))


def sites_in(language: str) -> list[Site]:
    """The sites of one language, at least three."""
    return [site for site in all_sites() if site.language == language]


def blocked_site(number: int) -> Site:
    """A site on a subdomain of one of BLOCKED_HOSTS."""
    host = f"www{number % 4}.{BLOCKED_HOSTS[number % len(BLOCKED_HOSTS)]}"
    return Site(host, "Best Deals", "en", FRAMES[number % len(FRAMES)])


def _site(number: int, language: str) -> Site:
    # 16 and 11 have no common factor: all 176 pairs differ.
    first, second = _FIRST[number % len(_FIRST)], _SECOND[number % len(_SECOND)]
    host = f"{first}-{second}.{_TOP_LEVEL[number % len(_TOP_LEVEL)]}"
    return Site(host, f"{first} {second}".title(), language, FRAMES[number % len(FRAMES)])


def render(site: Site, url: str, date: str, content: Content, charset: str | None) -> str:
    """The whole HTML page; charset: what its <meta> declares, None for no declaration."""
    ui = {name: " ".join(items) for name, items in load_grammar(content.language).ui.items()}
    title = html.escape(content.title)
    slots = {
        **{name: html.escape(text) for name, text in ui.items()},
        "lang": content.language,
        "dir": "rtl" if content.language in _RIGHT_TO_LEFT else "ltr",
        "charset": f'<meta charset="{charset}">' if charset else "",
        "title": title,
        "site": site.name,
        "url": url,
        "date": date[:10],
        "serial": url.rpartition("-")[2].removesuffix(".html"),
        "summary": html.escape(content.lines[0][:140] if content.lines else content.title),
        "json_ld": _json_ld(site, url, date, content.title),
        "nav": _links(load_grammar(content.language).ui["nav"]),
        "links": _links(content.links),
        "body": content.body(),
        "comments": _comments(content.comments, ui["comments"], ui["reply"]),
    }
    return _frame(site.frame).substitute(slots)


def render_plain(content: Content, with_navigation: bool) -> str:
    """The page as text, as in a WET record: headline and lines, on request between navigation and footer."""
    ui = load_grammar(content.language).ui
    lines = [content.title, *content.lines]
    if with_navigation:
        lines = [*ui["nav"][:_NUM_TEXT_NAVIGATION], *lines, *ui["footer"]]
    return "\n".join(lines)


def related_titles(rng: Random, titles: Sequence[str]) -> tuple[str, ...]:
    """Up to six headlines for the list of links beside an article."""
    return tuple(rng.sample(list(titles), min(len(titles), rng.randint(3, 6))))


@lru_cache(maxsize=len(FRAMES))
def _frame(name: str) -> Template:
    return Template(resources.files("corpus.sample").joinpath("frames", f"{name}.html").read_text("utf-8"))


def _links(labels: Sequence[str]) -> str:
    return "".join(
        f'<li><a href="/{number}.html">{html.escape(label)}</a></li>' for number, label in enumerate(labels, 1)
    )


def _comments(comments: Sequence[str], heading: str, reply: str) -> str:
    if not comments:
        return ""
    items = "".join(
        f'<li class="comment"><p class="comment-author">visitor{number}</p><p>{html.escape(text, quote=False)}</p>'
        f'<a class="reply" href="#reply{number}">{html.escape(reply)} {number}</a></li>\n'
        for number, text in enumerate(comments, 1)
    )
    return f'<section id="comments" class="comments"><h3>{html.escape(heading)}</h3><ol>{items}</ol></section>'


def _json_ld(site: Site, url: str, date: str, title: str) -> str:
    data = {"@context": "https://schema.org", "@type": "Article", "headline": title, "datePublished": date, "url": url}
    text = json.dumps({**data, "publisher": {"@type": "Organization", "name": site.name}}, ensure_ascii=False)
    return text.replace("</", "<\\/")

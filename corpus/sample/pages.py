"""Which pages a crawl holds: every kind, its share, and how its pages are made."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from corpus.sample import contents
from corpus.sample.grammar import LANGUAGES, UNSPACED, Article, write_article
from corpus.sample.personal import KINDS as PERSONAL_KINDS
from corpus.sample.personal import personal_sentence, personal_value
from corpus.sample.sites import Content, Site, blocked_site, related_titles, render, sites_in

# Share of the pages of each kind; what is left are plain articles. Copies come besides their original.
SHARES = {
    "exact_copy": 0.04,
    "near_copy": 0.04,
    "reworded": 0.015,
    "template_twin": 0.03,
    "spam": 0.03,
    "repetitive": 0.02,
    "short": 0.03,
    "navigation": 0.025,
    "list": 0.015,
    "toxic": 0.02,
    "pii": 0.04,
    "mojibake": 0.01,
    "legacy_encoding": 0.03,
    "comments": 0.025,
    "identity": 0.05,
    "lorem": 0.01,
    "code": 0.01,
    "noise": 0.02,
    "blocked": 0.02,
    "not_found": 0.01,
    "redirect": 0.01,
    "not_html": 0.01,
    "revisit": 0.005,
    "broken": 0.004,
}
# Of the pages whose kind has several languages; with the kinds that are English only, 56 % of all pages are English.
ENGLISH_RATIO = 0.38
# (language, encoding as the page declares it); each is used with the declaration in each of DECLARED.
LEGACY = (
    ("ru", "windows-1251"),
    ("ja", "shift_jis"),
    ("zh", "gb18030"),
    ("fr", "iso-8859-1"),
    ("pl", "iso-8859-2"),
    ("ar", "windows-1256"),
    ("ru", "koi8-r"),
    ("ja", "euc-jp"),
    ("de", "iso-8859-1"),
    ("es", "windows-1252"),
)
DECLARED = ("header", "meta", "nowhere")
BROKEN = ("bad_gzip", "no_status_line")  # records that fail alone; files end with the other kinds, see write.py
_MISREAD_LANGUAGES = ("de", "fr", "es", "pt", "pl", "ru")
_NOTICE_SENTENCES = 5
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
_PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"


@dataclass(frozen=True)
class Page:
    """One captured page. body: as sent over HTTP; truth: what was planted, for truth.jsonl."""

    url: str
    date: str
    body: bytes
    truth: dict[str, Any]
    content: Content | None = None
    status: str = "200 OK"
    headers: Sequence[tuple[str, str]] = ()
    damage: str | None = None


@dataclass(frozen=True)
class Sending:
    """How a page's text becomes bytes, and where the page says so: `header`, `meta`, `both` or `nowhere`."""

    encoding: str = "utf-8"
    declared: str = "both"

    @property
    def meta(self) -> str | None:
        """The charset of the <meta> element."""
        return self.encoding if self.declared in ("meta", "both") else None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The HTTP headers."""
        label = f"; charset={self.encoding}" if self.declared in ("header", "both") else ""
        return [("Content-Type", f"text/html{label}")]


UTF8 = Sending()


class Maker:
    """Makes the pages of one crawl; every page has its own random numbers, so that shares can change alone."""

    def __init__(self, seed: int, num_pages: int) -> None:
        self._seed = seed
        self._num_pages = num_pages
        self._serial = 0
        self._titles = {language: self._headlines(language) for language in LANGUAGES}

    def pages(self) -> list[Page]:
        """num_pages pages, shuffled."""
        made: list[Page] = []
        for kind, share in SHARES.items():
            wanted = max(2, round(share * self._num_pages))
            maker: Callable[[int], Iterator[Page]] = getattr(self, f"_{kind}_pages")
            made += maker(wanted)
        made += self._article_pages(self._num_pages - len(made))
        Random(f"{self._seed}/order").shuffle(made)
        return made

    def texts(self, number: int, page_urls: Sequence[Page]) -> Iterator[Page]:
        """Pages of which only the text is kept (WET): new articles, and one in twenty a copy of a given page."""
        copies = iter(page_urls)
        for index in range(number):
            rng = self._rng("wet", index)
            original = next(copies, None) if index % 20 == 0 else None
            if original is not None and original.content is not None:
                language = original.truth["language"]
                yield self._page("cross_copy", original.content, self._site(rng, language), of=original.url)
                continue
            article = self._article(rng, self._language(index))
            content = contents.article_content(article)
            yield self._page("article", content, self._site(rng, article.language), topic=article.topic)

    # What the kinds share.

    def _rng(self, purpose: str, index: int) -> Random:
        return Random(f"{self._seed}/{purpose}/{index}")

    def _headlines(self, language: str) -> list[str]:
        return [write_article(language, self._rng(f"titles-{language}", index), 1).title for index in range(40)]

    def _language(self, index: int) -> str:
        """English for ENGLISH_RATIO of all numbers, the others in turn."""
        if (index * 0.618033988749895) % 1.0 < ENGLISH_RATIO:
            return "en"
        return LANGUAGES[1 + index % (len(LANGUAGES) - 1)]

    def _site(self, rng: Random, language: str, unlike: Site | None = None) -> Site:
        return rng.choice([site for site in sites_in(language) if site != unlike])

    def _article(self, rng: Random, language: str) -> Article:
        # Short and long articles: a third of them above 20 sentences.
        return write_article(language, rng, rng.choice([8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 34, 40]))

    def _page(self, kind: str, content: Content, site: Site, sending: Sending = UTF8, **truth: Any) -> Page:
        """The page on the next free address of a site; links to related pages come by themselves."""
        self._serial += 1
        rng = self._rng("page", self._serial)
        day, second = self._serial % 27 + 1, self._serial * 37 % 86400
        hour = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        date = f"{2015 + self._seed % 10}-{self._seed % 12 + 1:02d}-{day:02d}T{hour}Z"
        section = rng.choice(["news", "articles", "archive", "post", "read"])
        code = hashlib.sha256(f"{self._seed} {self._serial}".encode()).hexdigest()[:6]
        url = f"https://{site.host}/{section}/{date[:4]}/{kind.replace('_', '')[:3]}{code}-{self._serial}.html"
        if not content.links:
            content = replace(content, links=related_titles(rng, self._titles[content.language]))
        body = render(site, url, date, content, sending.meta).encode(sending.encoding, "xmlcharrefreplace")
        facts = {"kind": kind, "language": content.language, **truth}
        return Page(url, date, body, facts, content, headers=sending.headers)

    # One method per kind.

    def _article_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("article", index)
            article = self._article(rng, self._language(index))
            content = contents.article_content(article)
            if rng.random() < 0.3:
                comments = write_article(article.language, rng, rng.randint(1, 3)).paragraphs
                content = replace(content, comments=[sentence for part in comments for sentence in part])
            yield self._page("article", content, self._site(rng, article.language), topic=article.topic)

    def _exact_copy_pages(self, number: int) -> Iterator[Page]:
        for index in range(number // 2):
            rng = self._rng("exact", index)
            article = self._article(rng, self._language(index))
            site = self._site(rng, article.language)
            content = contents.article_content(article)
            original = self._page("original", content, site, topic=article.topic)
            other = site if index % 2 else self._site(rng, article.language, unlike=site)
            yield original
            yield self._page("exact_copy", content, other, of=original.url, same_site=other == site)

    def _near_copy_pages(self, number: int) -> Iterator[Page]:
        for index in range(number // 2):
            rng = self._rng("near", index)
            language = self._language(index)
            article = self._article(rng, "en" if language in UNSPACED else language)
            ratio = rng.uniform(0.05, 0.15)
            yield from self._copy_pair("near_copy", article, contents.edited(article, rng, ratio), rng, ratio)

    def _reworded_pages(self, number: int) -> Iterator[Page]:
        for index in range(number // 2):
            rng = self._rng("reworded", index)
            article = self._article(rng, "en")
            ratio = rng.uniform(0.05, 0.15)
            yield from self._copy_pair("reworded", article, contents.reworded(article, rng, ratio), rng, ratio)

    def _copy_pair(self, kind: str, article: Article, copy: Article, rng: Random, ratio: float) -> Iterator[Page]:
        site = self._site(rng, article.language)
        original = self._page("original", contents.article_content(article), site, topic=article.topic)
        facts: dict[str, Any] = {
            "of": original.url,
            "changed_ratio": round(ratio, 4),
            "jaccard": round(contents.shingle_jaccard(article.text, copy.text), 4),
        }
        yield original
        yield self._page(kind, contents.article_content(copy), self._site(rng, article.language, unlike=site), **facts)

    def _template_twin_pages(self, number: int) -> Iterator[Page]:
        """Pairs on one site: short articles of their own above the same long notice."""
        for index in range(number // 2):
            rng = self._rng("twin", index)
            site = self._site(rng, "en")
            notice = write_article("en", rng, _NOTICE_SENTENCES).lines
            texts = [[*write_article("en", rng, rng.randint(5, 7)).lines, *notice] for _ in range(2)]
            jaccard = round(contents.shingle_jaccard("\n".join(texts[0]), "\n".join(texts[1])), 4)
            first = self._page("template_twin", Content("en", "Notes of the week", texts[0]), site, jaccard=jaccard)
            second = self._page("template_twin", Content("en", "Notes of the month", texts[1]), site, jaccard=jaccard)
            yield replace(first, truth={**first.truth, "twin": second.url})
            yield replace(second, truth={**second.truth, "twin": first.url})

    def _made_pages(self, kind: str, number: int, make: Callable[[Random], Content]) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng(kind, index)
            content = make(rng)
            yield self._page(kind, content, self._site(rng, content.language))

    def _spam_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("spam", number, contents.spam_content)

    def _repetitive_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("repetitive", number, contents.repetitive_content)

    def _short_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("short", number, lambda rng: contents.short_content(rng, "en"))

    def _navigation_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("navigation", number, contents.navigation_content)

    def _list_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("list", number, contents.list_content)

    def _toxic_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("toxic", number, contents.toxic_content)

    def _lorem_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("lorem", number, contents.lorem_content)

    def _code_pages(self, number: int) -> Iterator[Page]:
        return self._made_pages("code", number, contents.code_content)

    def _pii_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("pii", index)
            article, site = self._article(rng, "en"), self._site(rng, "en")
            counts = {kind: rng.randint(0, 2) for kind in PERSONAL_KINDS}
            counts[PERSONAL_KINDS[index % len(PERSONAL_KINDS)]] += 1
            numbered = [(kind, number) for kind, many in counts.items() for number in range(many)]
            values = [personal_value(kind, rng) for kind, _ in numbered]
            sentences = [personal_sentence(*each, value) for each, value in zip(numbered, values, strict=True)]
            content = contents.article_content(contents.with_sentences(article, sentences, rng))
            yield self._page("pii", content, site, counts=counts, values=values)

    def _mojibake_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("mojibake", index)
            language = _MISREAD_LANGUAGES[index % len(_MISREAD_LANGUAGES)]
            content = contents.mojibake(contents.article_content(self._article(rng, language)))
            yield self._page("mojibake", content, self._site(rng, language))

    def _legacy_encoding_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("legacy", index)
            language, encoding = LEGACY[index % len(LEGACY)]
            declared = DECLARED[index // len(LEGACY) % len(DECLARED)]
            content, sending = contents.article_content(self._article(rng, language)), Sending(encoding, declared)
            site = self._site(rng, language)
            yield self._page("legacy_encoding", content, site, sending, encoding=encoding, declared=declared)

    def _comments_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("comments", index)
            language = self._language(index)
            content = contents.article_content(self._article(rng, language))
            many = rng.randint(8, 25)
            comments = [write_article(language, rng, rng.randint(1, 3)).lines[0] for _ in range(many)]
            page_content = replace(content, comments=comments)
            yield self._page("comments", page_content, self._site(rng, language), num_comments=many)

    def _identity_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("identity", index)
            many = 1 + index % 6
            sentences = contents.identity_sentences(rng, many)
            article = contents.with_sentences(self._article(rng, "en"), sentences, rng)
            content = contents.article_content(article)
            yield self._page("identity", content, self._site(rng, "en"), num_mentions=many)

    def _noise_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("noise", index)
            content = contents.with_noise(contents.article_content(self._article(rng, "en")), rng)
            yield self._page("noise", content, self._site(rng, "en"))

    def _blocked_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            rng = self._rng("blocked", index)
            article = contents.article_content(self._article(rng, "en"))
            content = contents.spam_content(rng) if index % 2 else article
            yield self._page("blocked", content, blocked_site(index))

    # Responses without a document.

    def _not_found_pages(self, number: int) -> Iterator[Page]:
        content = Content("en", "Page not found", ["The page that you are looking for is not here."])
        for index in range(number):
            page = self._page("not_found", content, self._site(self._rng("missing", index), "en"))
            yield replace(page, status="404 Not Found", content=None)

    def _redirect_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            page = self._page("redirect", Content("en", "Moved", []), self._site(self._rng("moved", index), "en"))
            headers = [("Location", page.url.replace(".html", "/")), ("Content-Type", "text/html")]
            yield replace(page, status="301 Moved Permanently", headers=headers, body=b"", content=None)

    def _not_html_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            page = self._page("not_html", Content("en", "File", []), self._site(self._rng("file", index), "en"))
            kind, body = (("image/png", _PNG), ("application/pdf", _PDF))[index % 2]
            truth = {**page.truth, "content_type": kind}
            yield replace(page, body=body, headers=[("Content-Type", kind)], truth=truth, content=None)

    def _revisit_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            page = self._page("revisit", Content("en", "Unchanged", []), self._site(self._rng("again", index), "en"))
            yield replace(page, status="304 Not Modified", headers=(), body=b"", content=None)

    def _broken_pages(self, number: int) -> Iterator[Page]:
        for index in range(number):
            damage = BROKEN[index % len(BROKEN)]
            content = contents.article_content(self._article(self._rng("broken", index), "en"))
            page = self._page("broken", content, self._site(self._rng("broken-site", index), "en"), damage=damage)
            yield replace(page, damage=damage, content=None)

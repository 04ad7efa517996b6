"""The report's page fits its window, draws every chart, loads nothing, and cannot be broken by a text."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from corpus.report import render
from tests.corpus.report_corpora import HOSTILE, ITEM, ITEM_FILE, PWNED, SCORE, WORDS, report_of
from tests.corpus.synthetic import row, write_corpus, write_unit


@pytest.fixture
def hostile(tmp_path):
    """A corpus in which every string that comes from documents attacks the page."""
    values = {"language.label": HOSTILE, SCORE: 0.1, WORDS: 60.0, ITEM: HOSTILE, ITEM_FILE: 1.0}
    rows = [
        row(0, fate="dropped", reason="language.low_score", url=f"https://{HOSTILE}/", **values),
        row(1, fate="dropped", reason="language.low_score", url=f"javascript:{PWNED}", **values),
        row(2, fate="failed", stage="read", reason="read.failed", error=HOSTILE, num_bytes=0),
        row(3, url="https://<b>bold</b>.example/", **values),
    ]
    write_unit(tmp_path, "u1", rows, [HOSTILE] * 4, {})
    return tmp_path


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and len(self.scripts) < self.num("script"):
            self.scripts.append(data)

    def num(self, name):
        return sum(tag == name for tag, _ in self.tags)


def test_hostile_texts_add_no_tag_and_no_script_to_the_page(hostile):
    text = render(report_of(hostile))
    page = Page(text)
    assert page.num("script") == 3  # the figures, plotly, ours
    assert page.num("img") == page.num("b") - 8 == 0  # eight headline cards
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links
    assert all(re.fullmatch(r"#[a-z]+", link) for link in links)
    assert "{{7*7}}" in text
    assert PWNED not in text  # its quotes are escaped everywhere
    figures = json.loads(page.scripts[0])
    assert figures["languages"]["layout"]["yaxis"]["ticktext"][0].startswith("&lt;/script&gt;&lt;script&gt;")


def test_the_page_loads_nothing_and_runs_only_its_own_scripts(nine):
    text = render(report_of(nine))
    page = Page(text)
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]
    assert "unsafe-eval" not in policy
    assert not [attrs for _, attrs in page.tags if "src" in attrs]
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base")]
    assert len(text.encode()) < 6_000_000


@pytest.fixture
def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed, so the page is not drawn")
    return found


def dump(browser, path, profile):
    """The page at path as a browser leaves it, and what the browser logged."""
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    quiet += ["--virtual-time-budget=8000", "--window-size=1600,2000", f"--user-data-dir={profile}"]
    command = [browser, *quiet, "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1400])
def test_nothing_sticks_out_of_a_narrow_or_a_wide_page(browser, tmp_path, width):
    write_corpus(tmp_path / "corpus", 300)
    page = render(report_of(tmp_path / "corpus"))
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # so that a script can measure it
    measure = """<script>
    const right = (selector) => Math.max(...[...document.querySelectorAll(selector)].map((e) =>
      e.getBoundingClientRect().right - e.closest("section").getBoundingClientRect().right));
    setTimeout(() => parent.postMessage([document.documentElement.scrollWidth - document.documentElement.clientWidth,
      right("section .main-svg") < 0, right("section .scroll") < 0].join(), "*"), 1000);
    </script></body>"""
    (tmp_path / "page.html").write_text(page.replace("</body>", measure), encoding="utf-8")
    # Browsers make no window of 320 pixels, but frames of any width.
    frame = f'<p id="found"></p><iframe src="page.html" style="border: 0; width: {width}px; height: 900px"></iframe>'
    listen = '<script>onmessage = (event) => { document.getElementById("found").textContent = event.data }</script>'
    (tmp_path / "frame.html").write_text(frame + listen, encoding="utf-8")
    done = dump(browser, tmp_path / "frame.html", tmp_path / "profile")
    assert re.findall(r'<p id="found">(.*?)</p>', done.stdout) == ["0,true,true"]


@pytest.mark.slow
def test_a_browser_draws_every_chart_without_an_error_and_no_text_runs(browser, hostile, tmp_path):
    write_corpus(hostile, 300)
    report = report_of(hostile)
    path = tmp_path / "report.html"
    path.write_text(render(report), encoding="utf-8")
    done = dump(browser, path, tmp_path / "profile")
    assert 'data-drawn="yes"' in done.stdout
    assert "data-pwned" not in done.stdout.split("<body", 1)[0]
    num_drawn = len(re.findall(r'id="figure-[a-z0-9-]+" class="figure js-plotly-plot"', done.stdout))
    assert num_drawn == 5 + len(report["histograms"])  # funnel, languages, components, retention, toxicity
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= num_drawn
    # Errors of scripts and whatever the policy refused to load are written to the console.
    assert "CONSOLE" not in done.stderr

import polars as pl
import pytest

from corpus.removal_lists import KINDS, read_lists
from manifests.errors import GristmillError, InputError
from tests.corpus.removals import lists

ID = "0123456789abcdef" * 2


def named(wanted, *urls):
    """What each URL is named by: (of the URLs, of the domains)."""
    records = pl.DataFrame({"doc_id": [ID] * len(urls), "url": urls}, schema={"doc_id": pl.String, "url": pl.String})
    return wanted.match(records).select("urls", "domains").rows()


def test_ids_are_compared_without_case_and_comments_say_nothing(tmp_path):
    (tmp_path / "ids").write_text(f"# a comment\n\n  {ID.upper()}  \n", "utf-8")
    wanted = read_lists(str(tmp_path / "ids"), None, None)
    found = wanted.match(
        pl.DataFrame({"doc_id": [ID, "f" * 32], "url": [None, None]}, schema_overrides={"url": pl.String})
    )
    assert found["ids"].to_list() == [ID.upper(), None]


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example/a?b=1&c=2",
        "http://www.news.example:80/a?c=2&b=1&utm_source=mail#part",
        "HTTPS://NEWS.example./a?b=1&c=2",
        "news.example/a?b=1&c=2",
    ],
)
def test_urls_are_those_of_one_page_as_deduplication_sees_it(tmp_path, url):
    line = "https://news.example/a?b=1&c=2"
    assert named(lists(tmp_path, urls=[line]), url) == [(line, None)]


def test_other_pages_of_a_host_are_not_named(tmp_path):
    wanted = lists(tmp_path, urls=["https://news.example/a"])
    others = [
        "https://news.example/A",
        "https://news.example/a/b",
        "https://m.news.example/a",
        "https://news.example/",
        None,
    ]
    assert named(wanted, *others) == [(None, None)] * len(others)


def test_what_is_no_web_address_is_compared_as_it_is(tmp_path):
    wanted = lists(tmp_path, urls=["urn:isbn:1", "http://[broken/a b"])
    found = named(wanted, "urn:isbn:1", "urn:isbn:2", "http://[broken/a b", "http://")
    assert [url for url, _ in found] == ["urn:isbn:1", None, "http://[broken/a b", None]


@pytest.mark.parametrize("line", ["Example.COM", "*.example.com", "example.com."])
def test_a_domain_names_itself_and_what_is_below(tmp_path, line):
    urls = [
        "https://example.com/",
        "http://me@a.b.EXAMPLE.com:81/x",
        "https://notexample.com/",
        "https://example.com.evil.test/",
    ]
    assert named(lists(tmp_path, domains=[line]), *urls) == [(None, line), (None, line), (None, None), (None, None)]


@pytest.mark.parametrize("line", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"])
def test_international_domains_are_named_in_either_form(tmp_path, line):
    found = named(lists(tmp_path, domains=[line]), "https://bücher.example/", "https://shop.xn--bcher-kva.example/")
    assert found == [(None, line), (None, line)]


def test_the_nearest_domain_is_told(tmp_path):
    wanted = lists(tmp_path, domains=["example.com", "a.example.com"])
    assert named(wanted, "https://b.a.example.com/", "https://b.example.com/") == [
        (None, "a.example.com"),
        (None, "example.com"),
    ]


def test_lines_that_say_the_same_are_found_together(tmp_path):
    wanted = lists(
        tmp_path, ids=[ID, ID.upper()], urls=["http://a.test/x", "https://www.a.test/x/"], domains=["A.test", "b.test"]
    )
    records = pl.DataFrame({"doc_id": [ID], "url": ["http://a.test/x"]})
    found = {kind: set(wanted.match(records)[kind].drop_nulls()) for kind in KINDS}
    assert wanted.not_found(found) == ["b.test"]
    nothing = {kind: set() for kind in KINDS}
    assert wanted.not_found(nothing) == [ID, ID.upper(), "http://a.test/x", "https://www.a.test/x/", "A.test", "b.test"]


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("ids", ID[:-1], "is no document id. Ids are 32 hex characters"),
        ("ids", ID[:-1] + "g", "is no document id"),
        ("domains", "https://example.com/", "is no domain. Write it as example.com"),
        ("domains", "a b.example", "is no domain"),
        ("domains", "...", "is no domain"),
        ("domains", "com", "is a public suffix"),
        ("domains", "co.uk", "is a public suffix"),
        ("urls", "# only a comment", "holds no entry, so there is nothing to remove"),
    ],
)
def test_what_is_no_entry_is_named_with_its_file(tmp_path, kind, line, message):
    with pytest.raises(InputError, match=rf"{kind}\.txt: .*{message}"):
        lists(tmp_path, **{kind: [line]})


@pytest.mark.parametrize("data", [None, b"\xff\xfe", b"\x1f\x8b broken"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, data):
    if data is not None:
        (tmp_path / "list").write_bytes(data)
    with pytest.raises(GristmillError, match="list: "):
        read_lists(None, str(tmp_path / "list"), None)

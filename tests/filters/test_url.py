"""URL: hosts, addresses and words on lists; addresses that are no addresses."""

import gzip
import json
import pickle

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from filters.base import Documents
from filters.url import Url, registered_domain, top_level_domain
from manifests.errors import InputError, RecipeError
from tests.edge_cases import batch, check_filter, columns_of, scores_of
from tests.shared import shared_data

BROKEN = [
    None,
    "",
    " ",
    "http://",
    "http://[",
    "http://]",
    "http://[::1",
    "://",
    "//",
    "@",
    "http://@:80",
    "http://..",
    "http://a..b",
    "http://%zz/",
    "http://xn--a/",
    "http://" + "a." * 5000,
    "http://" + "x" * 5000 + ".com",
    "<>",
    "javascript:void(0)",
    "http://\u0000/",
    "http://＠/",
    "dns:shop.example",
]


def listed(folder, *entries, name="list.txt"):
    (folder / name).write_text("\n".join(entries) + "\n", "utf-8")
    return str(folder / name)


def reasons_of(rule, urls):
    columns, _ = columns_of(rule, batch([""] * len(urls), urls))
    return rule.reject(scores_of(rule, columns)).to_pylist()


def measured(rule, name, urls):
    return columns_of(rule, batch([""] * len(urls), urls))[0][name].tolist()


def test_passes_the_edge_cases(tmp_path):
    path = listed(tmp_path, "shop")
    check_filter(Url())
    check_filter(Url(domains=[path], urls=[path], words=path, soft_words=path))


@pytest.mark.parametrize(
    ("url", "hit"),
    [
        ("http://shop.example/", 1.0),
        ("https://www.shop.example/a?b#c", 1.0),
        ("http://EU.Shop.Example:8080/a", 1.0),
        ("http://user:secret@shop.example", 1.0),
        ("<http://shop.example/a>", 1.0),
        ("shop.example/a", 1.0),
        ("shop.example:8080/a", 1.0),
        ("//shop.example", 1.0),
        ("http://shop.example./", 1.0),
        ("http://workshop.example/", 0.0),
        ("http://shop.example.org/", 0.0),
        ("http://other.org/shop.example", 0.0),
        ("http://other.org?shop.example", 0.0),
        ("http://other.org#@shop.example", 0.0),
        ("http://münchen.example/", 1.0),
        ("http://xn--mnchen-3ya.example/", 1.0),
        ("http://192.0.2.7/", 1.0),
        ("http://1.192.0.2.7/", 1.0),
        ("http://0.2.7/", 0.0),
        ("http://[2001:db8::7]:80/", 1.0),
        (None, 0.0),
    ],
)
def test_a_listed_domain_covers_its_subdomains_only(tmp_path, url, hit):
    path = listed(tmp_path, "# shops", "", "shop.example", "münchen.example", "192.0.2.7", "2001:db8::7")
    assert measured(Url(domains=[path]), "domain_listed", [url]) == [hit]


def test_entries_may_start_with_a_dot_a_star_or_www(tmp_path):
    path = listed(tmp_path, ".a.example", "*.b.example", "www.c.example", "D.EXAMPLE")
    urls = ["http://a.example", "http://b.example", "http://x.c.example", "http://d.example"]
    assert measured(Url(domains=[path]), "domain_listed", urls) == [1.0] * 4


@pytest.mark.parametrize(
    ("url", "hit"),
    [
        ("http://a.example/x", 1.0),
        ("https://www.A.example:443/x/", 1.0),
        ("http://a.example/x#part", 1.0),
        ("http://a.example/X", 0.0),
        ("http://a.example/x?y=1", 0.0),
        ("http://a.example/x/y", 0.0),
        ("http://b.example/", 1.0),
        ("http://c.example/#part", 1.0),
        (None, 0.0),
    ],
)
def test_a_listed_url_is_that_address_only(tmp_path, url, hit):
    path = listed(tmp_path, "a.example/x", "http://www.b.example", "c.example/#top")
    assert measured(Url(urls=[path]), "url_listed", [url]) == [hit]


def test_words_are_whole_and_in_any_case(tmp_path):
    rule = Url(words=listed(tmp_path, "casino", "Poker"))
    urls = ["http://a.example/CASINO/x", "http://casinos.example", "http://poker-casino.example/poker", None]
    assert measured(rule, "num_words", urls) == [1.0, 0.0, 2.0, 0.0]
    assert reasons_of(rule, urls) == ["url.banned_word", None, "url.banned_word", None]


def test_soft_words_drop_only_above_their_maximum(tmp_path):
    path = listed(tmp_path, "free", "cam", "win")
    urls = ["http://free.example/free", "http://free.example/cam", "http://a.example"]
    dropped = "url.too_many_soft_words"
    assert reasons_of(Url(soft_words=path), urls) == [None, dropped, None]
    assert reasons_of(Url(soft_words=path, max_soft_words=0), urls) == [dropped, dropped, None]
    assert reasons_of(Url(soft_words=path, max_soft_words=None), urls) == [None, None, None]


def test_the_domain_is_the_first_reason(tmp_path):
    domains, urls = listed(tmp_path, "a.example", name="d"), listed(tmp_path, "a.example/x", "b.example/x", name="u")
    rule = Url(domains=[domains], urls=[urls], words=listed(tmp_path, "x", name="w"))
    assert reasons_of(rule, ["http://a.example/x", "http://b.example/x", "http://c.example/x"]) == [
        "url.blocked_domain",
        "url.blocked_url",
        "url.banned_word",
    ]


def test_compressed_lists_and_several_lists_are_read(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"a.example\n"))
    frames = zstandard.ZstdCompressor().compress(b"b.example\n") + zstandard.ZstdCompressor().compress(b"c.example\n")
    (tmp_path / "b.zst").write_bytes(frames)
    rule = Url(domains=[str(tmp_path / "a.gz"), str(tmp_path / "b.zst")])
    urls = [f"http://{name}.example" for name in "abcd"]
    assert measured(rule, "domain_listed", urls) == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("url", BROKEN)
def test_broken_addresses_pass_and_have_no_domain(tmp_path, url):
    path = listed(tmp_path, "shop.example")
    assert reasons_of(Url(domains=[path], urls=[path], words=listed(tmp_path, "shop", name="w")), [url]) in (
        [None],
        ["url.banned_word"],
    )
    assert registered_domain(url) is None or "." in registered_domain(url)


@given(st.one_of(st.none(), st.text(max_size=60), st.text(alphabet="htp:/[]@.#?%-xn1a\u00fc＠。", max_size=40)))
def test_no_address_raises(url):
    host_known = registered_domain(url) is not None
    assert not host_known or top_level_domain(url) is not None
    assert len(measured(Url(), "num_words", [url.encode("utf-8", "replace").decode() if url else url])) == 1


@pytest.mark.parametrize(
    ("url", "domain", "tld"),
    [
        ("http://news.bbc.co.uk/1/hi", "bbc.co.uk", "uk"),
        ("https://a.blogspot.com", "a.blogspot.com", "com"),
        ("https://x.y.example.com:8080/", "example.com", "com"),
        ("http://xn--80ak6aa92e.xn--p1ai/", "xn--80ak6aa92e.xn--p1ai", "xn--p1ai"),
        ("http://co.uk/", None, "uk"),
        ("http://192.0.2.7/", None, None),
        ("http://[2001:db8::7]/", None, None),
        ("http://localhost/", None, None),
        (None, None, None),
    ],
)
def test_registered_and_top_level_domains(url, domain, tld):
    assert registered_domain(url) == domain
    assert top_level_domain(url) == tld


def test_lists_are_digested_by_content(tmp_path):
    first, second = listed(tmp_path, "a.example", name="1"), listed(tmp_path, "a.example", name="2")
    other = listed(tmp_path, "b.example", name="3")
    assert Url(domains=[first]).measuring() == Url(domains=[second], max_soft_words=7).measuring()
    assert Url(domains=[first]).measuring() != Url(domains=[other]).measuring()


def test_lists_that_cannot_be_used_are_errors_before_any_data_is_read(tmp_path):
    with pytest.raises(RecipeError, match="no list is named"):
        Url().check()
    with pytest.raises(InputError, match=r"absent\.txt"):
        Url(domains=[str(tmp_path / "absent.txt")]).check()
    with pytest.raises(RecipeError, match="holds no entry"):
        Url(urls=[listed(tmp_path, "# nothing")]).check()
    with pytest.raises(RecipeError, match="'two words' can match no word"):
        Url(words=listed(tmp_path, "two words")).check()
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(RecipeError, match="byte 3 is not UTF-8"):
        Url(domains=[str(tmp_path / "latin")]).check()
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"a.example\n" * 100)[:-9])
    with pytest.raises(RecipeError, match="compressed but broken"):
        Url(domains=[str(tmp_path / "broken.gz")]).check()


def test_a_used_config_travels_by_pickle_without_its_lists(tmp_path):
    rule = Url(domains=[listed(tmp_path, *(f"{number}.example" for number in range(5000)))])
    rule.check()
    assert len(pickle.dumps(rule)) < 1000


def entries_of(path):
    with open(path, "rb") as file:
        return {line for line in zstandard.ZstdDecompressor().stream_reader(file).read().decode().split("\n") if line}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "num_hosts"),
    [("press", 75), ("blog", 15), ("drogue", 1), ("mixed_adult", 1), ("dating", 1), ("shortener", 1), ("gambling", 0)],
)
def test_real_lists_hit_the_hosts_that_a_plain_search_finds(name, num_hosts):
    path = shared_data("web", "blocklists", f"{name}.domains.txt.zst")
    domains = entries_of(path)
    pages = shared_data("web", "pages.jsonl.zst").read_bytes()
    records = zstandard.ZstdDecompressor().decompress(pages, max_output_size=1 << 28).split(b"\n")
    hosts = sorted({json.loads(record)["url"].split("/")[2].lower() for record in records if record})
    parents = tuple("." + domain for domain in domains)
    plain = [host for host in hosts if f".{host}".endswith(parents)]
    assert len(plain) == num_hosts
    score = Url(domains=[str(path)]).score(Documents(batch([""] * len(hosts), [f"http://{host}/" for host in hosts])))
    assert [host for host, hit in zip(hosts, score["domain_listed"], strict=True) if hit] == plain

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup.keys import equality_keys, normalized_url, text_keys
from corpus.recipe import Dedup
from filters.base import Documents
from filters.kernels.buffers import text_buffers


def test_keys_are_the_halves_of_xxh3_128() -> None:
    texts = ["", "a", "é漢\U0001f600", "long " * 100]
    column = pa.array(["before", *texts, "after"], pa.large_string()).slice(1, 4)
    high, low = text_keys(text_buffers(column))
    whole = [(hi << 64) | lo for hi, lo in zip(high.tolist(), low.tolist(), strict=True)]
    assert whole == [xxhash.xxh3_128_intdigest(text.encode()) for text in texts]


def test_zero_rows_give_zero_keys() -> None:
    high, low = text_keys(text_buffers(pa.array([], pa.large_string())))
    assert (high.tolist(), low.tolist()) == ([], [])


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("https://www.Example.com:443/Index.HTML#top", "example.com/Index.HTML"),
        ("http://example.com/index.html", "example.com"),
        ("HTTP://EXAMPLE.com.", "example.com"),
        ("http://example.com/a/?b=2&a=1&utm_source=x&gclid=y", "example.com/a?a=1&b=2"),
        ("http://example.com/?utm_medium=mail&utm_campaign=z", "example.com"),
        ("http://example.com/%7euser/%c3%a9", "example.com/~user/%C3%A9"),
        ("http://example.com:8080/a", "example.com:8080/a"),
        ("http://shop.example.com/a?feed=rss", "shop.example.com/a?feed=rss"),
        ("http://example.com/?tag=a&tag=b", "example.com?tag=a&tag=b"),
        ("http://example.com/?id[]=1&id[]=2", "example.com?id%5B%5D=1&id%5B%5D=2"),
        ("http://example.com/?ref=v2", "example.com?ref=v2"),
        ("http://example.com/#!/a", "example.com/#!/a"),
        ("http://www.com/", "www.com"),
        ("http://[broken/", None),
        ("n/a", None),
        ("about:blank", None),
        ("//example.com/a", None),
        ("", None),
    ],
)
def test_urls_of_one_page_are_equal_once_normalized(url: str, normalized: str | None) -> None:
    assert normalized_url(url) == normalized


def test_documents_without_text_words_or_url_have_no_key_of_that_kind() -> None:
    texts, urls = ["", "...", "One two", "one, two!"], [None, "", "http://a.b", "http://www.a.b/"]
    table = pa.table({"text": pa.array(texts, pa.large_string()), "url": pa.array(urls, pa.string())})
    found = equality_keys(Documents(table), Dedup(normalized=True, url=True))
    assert {kind: np.asarray(has_key).tolist() for kind, (_, _, has_key) in found.items()} == {
        "exact": [False, True, True, True],
        "normalized": [False, False, True, True],
        "url": [False, False, True, True],
    }
    for kind, equal in (("exact", False), ("normalized", True), ("url", True)):
        high, low, _ = found[kind]
        assert ((high[2], low[2]) == (high[3], low[3])) is equal


@given(st.text(max_size=40))
def test_any_string_is_normalized_or_no_url(url: str) -> None:
    for each in (url, f"http://{url}", f"https://a.b/{url}"):
        assert isinstance(normalized_url(each), str | None)

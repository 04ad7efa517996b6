import base64
import json

import pytest
import zstandard

from corpus.read.charset import codec_of, decode_page, decode_plain
from tests.shared import shared_data

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"),
        (" latin1 ", "cp1252"),
        ("us-ascii", "cp1252"),
        ("gb2312", "gb18030"),
        ("Shift_JIS", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("big5", "big5hkscs"),
        ("x-user-defined", "cp1252"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("UTF8", "utf-8"),
        ("utf-7", None),
        ("no-such", None),
        ("", None),
    ],
)
def test_labels_mean_what_the_encoding_standard_says(label: str, codec: str | None) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        ("ж".encode("cp1251"), "text/html; charset=windows-1251", "ж"),
        ("ж".encode("cp1251"), 'text/html; Charset="windows-1251"', "ж"),
        (b'<meta charset="koi8-r">' + "ж".encode("koi8-r"), "text/html", '<meta charset="koi8-r">ж'),
        (
            b"<meta content='text/html; charset=koi8-r'>\xd6",
            "text/html; charset=windows-1251",
            "<meta content='text/html; charset=koi8-r'>Ц",
        ),
        (b"<!-- <meta charset=koi8-r> -->\x93", None, "<!-- <meta charset=koi8-r> -->\u201c"),
        (b'<?xml version="1.0" encoding="koi8-r"?>\xd6', None, '<?xml version="1.0" encoding="koi8-r"?>ж'),
        (b"\xef\xbb\xbf\xc3\xbc", "text/html; charset=iso-8859-1", "ü"),
        ("\ufeffü".encode("utf-16-le"), "text/html; charset=utf-8", "ü"),
        (b"\xc3\xbc", "text/html; charset=iso-8859-1", "ü"),
        (b"<meta charset=utf-16>\xc3\xbc", None, "<meta charset=utf-16>ü"),
        (b"it\x92s", "text/html; charset=utf-8", "it\u2019s"),
        ("ü".encode() * 20 + b"\xff", "text/html; charset=utf-8", "ü" * 20 + "\ufffd"),
        (b'\x1b$B$"\x1b(B', "text/html; charset=iso-2022-jp", "あ"),
        (b"", None, ""),
    ],
)
def test_order_is_mark_then_utf8_then_header_then_meta(data: bytes, content_type: str | None, text: str) -> None:
    assert decode_page(data, content_type) == text


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "utf-8", "iso8859-5"])
def test_text_without_a_label_is_detected(codec: str) -> None:
    assert decode_plain(RUSSIAN.encode(codec)) == RUSSIAN


@pytest.mark.shared
def test_most_labelled_texts_come_out_exact() -> None:
    packed = shared_data("web", "charsets", "labelled.jsonl.zst").read_bytes()
    exact = {"header": 0, "none": 0}
    for line in zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines():
        record = json.loads(line)
        data = base64.b64decode(record["b64"])
        text = data.decode(record["encoding"]).lstrip("\ufeff")
        exact["header"] += decode_page(data, f"text/html; charset={record['encoding']}").lstrip("\ufeff") == text
        exact["none"] += decode_page(data).lstrip("\ufeff") == text
    assert exact == {"header": 219, "none": 215}

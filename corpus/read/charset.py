"""Bytes of a web page to text.

Order: byte order mark, HTTP header, <meta>, detection. A label means what the WHATWG Encoding Standard says it means
("iso-8859-1" is windows-1252, "gb2312" is gb18030). One rule is added to the standard's: bytes that are valid UTF-8
are UTF-8 whatever the label says, since servers often label by default and text of another encoding that is valid
UTF-8 by chance is very rare.
"""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

# The standard reads these labels as supersets that Python has under another name.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,1024}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.()+-]{1,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,256}?encoding\s*=\s*[\"']([a-zA-Z0-9_:.()+-]{1,40})")
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
# The standard looks at 1,024 bytes; pages with long scripts before their <meta> are common enough to look further.
_META_BYTES = 8192
# Encodings whose text is valid UTF-8 to the eye: 7-bit escape codes, and two bytes a character.
_LOOK_LIKE_ASCII = ("iso2022", "hz", "utf-16")
_DETECT_BYTES = 64 * 1024


def decode_page(data: bytes, content_type: str | None = None) -> str:
    """The text of a page; bytes that its encoding does not have become U+FFFD.

    content_type: the HTTP header, for its charset. A byte order mark is removed. The result holds no lone surrogates.
    """
    return _decode(data, declared_codec(data, content_type))


def decode_plain(data: bytes) -> str:
    """The text of a file that declares no encoding: byte order mark, UTF-8, or what is detected."""
    return _decode(data, None)


def _decode(data: bytes, declared: str | None) -> str:
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    if declared is None or not declared.startswith(_LOOK_LIKE_ASCII):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return data.decode(declared or detected_codec(data), "replace")


def declared_codec(data: bytes, content_type: str | None) -> str | None:
    """The Python codec that the HTTP header or the page itself names; None if none is known."""
    header = _HEADER.search(content_type or "")
    if header and (codec := codec_of(header[1])):
        return codec
    head = data[:_META_BYTES]
    meta = _XML.search(head) or _META.search(_COMMENT.sub(b"", head))
    if not meta:
        return None
    codec = codec_of(meta[1].decode("ascii"))
    # A page whose <meta> could be read as ASCII is not UTF-16, whatever it says.
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def detected_codec(data: bytes) -> str:
    """The codec that the bytes look like; windows-1252, where every byte means something, if nothing is seen."""
    return codec_of(detect_encoding(data, max_len=_DETECT_BYTES) or "") or "cp1252"


def codec_of(label: str) -> str | None:
    """The Python codec for a label of the Encoding Standard; None for a label that it does not have."""
    if label.strip().lower() == "x-user-defined":
        return "cp1252"
    name = map_encoding_to_html5(label.strip().lower(), fallback_utf8=False)
    if name is None:
        return None
    try:
        name = codecs.lookup(name).name
    except LookupError:
        return None
    return _SUPERSETS.get(name, name)

"""Header fields as HTTP and WARC write them: `name: value`, long values folded over lines that start with a blank."""

from collections.abc import Iterable


def header_fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The fields by lower-case name, the first of several; bytes that are not UTF-8 become U+FFFD.

    lines: with or without their line ends, without the blank line after the last. Lines that are neither a field nor
    the rest of one are left out, and so is the rest of a field that is left out.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[:1] in (" ", "\t"):
            if name:
                fields[name] = f"{fields[name]} {text.strip()}".strip()
        elif ":" in text:
            key, _, value = text.partition(":")
            name = key.strip().lower()
            name = "" if name in fields else name
            if name:
                fields[name] = value.strip()
    return fields

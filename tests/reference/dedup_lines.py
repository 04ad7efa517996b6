"""The slow, obvious twin of corpus.dedup.lines: all documents in memory, a dictionary of who had a line first."""

from dataclasses import dataclass

from tests.reference.normalized_lines import normalized


@dataclass(frozen=True)
class Rest:
    """What is left of a document: its text, the lines with content that it lost, and whether it is dropped."""

    text: str
    num_lines_removed: int = 0
    dropped: bool = False


def without(lines: list[str], removed: set[int]) -> str:
    """The text of lines, some removed, without blank lines that nothing separates any more."""
    left: list[str] = []
    cut = False
    for number, line in enumerate(lines):
        if number in removed:
            cut = True
        elif line.strip() or not cut or (left and left[-1].strip()):
            left.append(line)
            cut = False
    while cut and left and not left[-1].strip():
        left.pop()
    return "\n".join(left)


def groups(lines: list[str], unit: str) -> list[list[int]]:
    """Numbers of the lines that are compared together: each with content alone, or runs of them."""
    found: list[list[int]] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if unit == "paragraph" and found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def remove_repeats(texts: list[str], unit: str, min_chars: int) -> list[Rest]:
    """What is left of each document, in their order."""
    owner: dict[str, int] = {}
    rests = []
    for document, text in enumerate(texts):
        lines = text.split("\n")
        removed: set[int] = set()
        for numbers in groups(lines, unit):
            key = normalized("\n".join(lines[number] for number in numbers))
            if len(key) >= min_chars and owner.setdefault(key, document) != document:
                removed.update(numbers)
        if not removed:
            rests.append(Rest(text))
            continue
        left = without(lines, removed)
        rests.append(Rest(left, len(removed), len(normalized(left)) < min_chars))
    return rests

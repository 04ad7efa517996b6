"""Lines and paragraphs by Python's own str methods."""


def lines(text: str) -> list[str]:
    return text.split("\n")


def content_lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def paragraphs(text: str) -> list[tuple[str, ...]]:
    """Runs of content lines between blank lines."""
    found: list[tuple[str, ...]] = []
    run: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip():
            run.append(line.strip())
        elif run:
            found.append(tuple(run))
            run = []
    return found

"""Word boundaries of UAX #29 by uniseg, whose tables are Unicode 16.0's."""

from uniseg.wordbreak import words as segments


def words(text: str) -> list[str]:
    """The segments with a letter or a number."""
    return [segment for segment in segments(text) if any(character.isalnum() for character in segment)]

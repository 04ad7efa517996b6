"""Words by Python's own str.split."""


def words(text: str) -> list[str]:
    return text.split()


def has_letter(word: str) -> bool:
    return any(character.isalpha() for character in word)

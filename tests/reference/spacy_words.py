"""English words by spaCy itself."""

from spacy.tokenizer import Tokenizer


def words(tokenizer: Tokenizer, text: str) -> list[str]:
    """The tokens of a text, stripped, without empty ones: what datatrove 0.10 counts."""
    stripped = (token.text.strip() for token in tokenizer(text))
    return [token for token in stripped if token]

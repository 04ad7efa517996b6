"""Perplexity under a bigram model, straight from the definition, and CCNet's normalization step by step."""

import unicodedata

_REPLACED = {
    **{mark: '"' for mark in "„”“«»１」「《》"},
    **{mark: "'" for mark in "´’"},
    **{mark: "-" for mark in "–━►"},
    **dict(zip("，、∶：。？！（）；～〈〉【】％", ",,::.?!();~<>[]%", strict=True)),
    **{"—": " - ", "．": ". ", "…": "..."},
}


def ccnet_normalized(text):
    """Strip, lower, strip accents, digits to 0, replace marks, delete control characters: in this order."""
    text = text.strip().lower()
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    text = "".join("0" if c.isdecimal() else c for c in text)
    text = "".join(_REPLACED.get(c, c) for c in text)
    return "".join(c for c in text if not (ord(c) < 32 or 127 <= ord(c) < 160))


def perplexity_of(text, arpa, semantics):
    """By the tables of an ARPA file of order 2, words being what str.split() gives."""
    unigrams, backoffs, bigrams = _tables(arpa)
    if semantics == "lines":
        sentences = [ccnet_normalized(line.replace("\t", " ")) for line in text.split("\n") if line.strip()] or [""]
    else:
        sentences = [ccnet_normalized(text)]
    total, num_words = 0.0, 0
    for sentence in sentences:
        before = "<s>"
        for word in [*sentence.split(), "</s>"]:
            word = word if word in unigrams else "<unk>"
            backed_off = backoffs.get(before, 0.0) + unigrams[word]
            total += bigrams.get((before, word), backed_off)
            num_words += 1
            before = word
    return round(10 ** (-total / num_words), 1)


def _tables(arpa):
    rows = [line.split("\t") for line in arpa.splitlines() if "\t" in line]
    unigrams = {row[1]: float(row[0]) for row in rows if " " not in row[1]}
    backoffs = {row[1]: float(row[2]) for row in rows if len(row) == 3}
    bigrams = {tuple(row[1].split()): float(row[0]) for row in rows if " " in row[1]}
    return unigrams, backoffs, bigrams

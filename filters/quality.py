"""How much a text looks like chosen good text, by fastText classifiers.

What it measures: `quality.<name>` for each model that the recipe names, the score of one label in [0, 1], as fastText
itself gives it.

Why such documents are removed: a linear classifier over words and word pairs, trained to tell a chosen set of texts
from web pages at large, ranks pages by likeness to that set. Models trained on the tenth of the web that looks most
like instructions and explanations did better in DCLM than those on pages chosen by any other means tried there.

Known harm: the classifier finds a kind of text, not quality; whatever is unlike the chosen set goes. With 90 % of pages
removed, as in DCLM, that is most of what people write: fiction, verse, dialogue, lists, dialects, every language but
that of the set, and subjects on which the set is silent. How far likeness is from quality: a small model of Wikipedia
paragraphs against reviews and talk comments, asked about the 275 web pages of DCLM's that people called good or bad
for training, tells them apart no better than chance (area under the ROC curve 0.52), and its best tenth holds 13 % of
the good ones. Plain language suffers: of news articles written at three levels, of which it keeps the better half, it
keeps 58 % of the advanced and 41 % of the elementary ones, though they tell the same. Audit retention by group before
use.

Kept: with a model of explanations, `Bread rises because yeast eats sugar and gives off gas.`

Dropped: `cheap shoes buy now cheap bags buy now` (quality.low_<name>).

Definitions:
- The text is read as one line: line feeds are blanks. Words end at ASCII blanks and NUL only. Nothing else is changed,
  so a model trained on folded or tokenized text needs its texts folded by the recipe.
- A word `</s>`, with which fastText ends a line, is passed over.
- A text of which a model knows no word and no n-gram scores 0.0.

Parameters: `models`, a fastText file (.bin or .ftz) for each name; `labels`, the label that counts for each, without
`__label__`; `min_scores`, the lowest score that passes for each, inclusive, absent: only measured. By name, the
first that fails gives the reason. Published models: DCLM's fastText-OH-ELI5, whose label is `hq` and whose
min_score 0.018112 kept a tenth of DCLM's pages.

Sources: Li et al. 2024 (DCLM, arXiv:2406.11794), section 4.4; Brown et al. 2020 (GPT-3, arXiv:2005.14165), appendix A;
whom such filters remove: Gururangan et al. 2022, "Whose Language Counts as High Quality?"; Lucy et al. 2024,
"AboutMe".
"""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from filters.base import Bound, Columns, Documents, FilePath, Filter
from filters.fasttext_model import load_model
from manifests.errors import RecipeError
from manifests.strict import did_you_mean

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]


class Quality(Filter):
    """Drops texts that score low with one of several fastText classifiers."""

    rule: ClassVar[str] = "quality"
    measures: ClassVar[tuple[str, ...]] = ()  # as the recipe names them

    models: dict[Name, FilePath] = Field(min_length=1)
    labels: dict[Name, str]
    min_scores: dict[Name, Ratio] = {}

    @model_validator(mode="after")
    def _same_names(self) -> Self:
        for key, names in (("labels", self.labels), ("min_scores", self.min_scores)):
            for name in names:
                if name not in self.models:
                    raise RecipeError(
                        f"{key} has {name!r}, which is no name in models{did_you_mean(name, self.models)}"
                    )
        for name in self.models:
            if name not in self.labels:
                raise RecipeError(f'[[filter]] quality: the model {name!r} has no label. Add labels.{name} = "LABEL".')
        return self

    def measured(self) -> tuple[str, ...]:
        """The names of the models, sorted: digests of a recipe cannot tell the order of a table's keys."""
        return tuple(sorted(self.models))

    def limits(self) -> list[tuple[Bound, float]]:
        """A lower limit for each model that has one."""
        names = [name for name in self.measured() if name in self.min_scores]
        return [(Bound(name, "min", "min_scores", f"low_{name}"), self.min_scores[name]) for name in names]

    def deciding_keys(self) -> set[str]:
        """The limit of each model."""
        return {"min_scores"}

    def check(self) -> None:
        """Raise ModelError if a model is not usable or does not know its label."""
        for name, path in self.models.items():
            load_model(path).index(self.labels[name])

    def score(self, documents: Documents) -> Columns:
        """For each model float64 (num_documents,) in [0, 1]."""
        text = documents.text
        return {name: load_model(self.models[name]).label_scores(text, self.labels[name]) for name in self.measured()}

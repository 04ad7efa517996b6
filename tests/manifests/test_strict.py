import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.strict import did_you_mean, explain_validation


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    min_words: int = Field(default=1, ge=0)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    part: list[Inner] = []


def explain(data):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return explain_validation(caught.value, Outer)


def test_unknown_keys_get_the_nearest_known_one():
    assert explain({"name": "x", "part": [{"min_word": 3}]}) == (
        "unknown key 'min_word' in [part.0]; did you mean 'min_words'? Known keys: min_words."
    )


def test_missing_and_wrong_keys_are_named_with_their_value():
    assert explain({}) == "key 'name' is missing."
    assert explain({"name": "x", "part": [{"min_words": -1}]}) == (
        "key 'min_words' in [part.0] is -1: input should be greater than or equal to 0."
    )


def test_nothing_is_suggested_when_nothing_is_near():
    assert did_you_mean("zzz", ["alpha"]) == "."
    assert did_you_mean("alhpa", ["alpha"]) == "; did you mean 'alpha'?"

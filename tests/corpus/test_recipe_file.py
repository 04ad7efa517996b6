import tomllib
from importlib import resources

import pytest

from corpus.recipe_file import portable, presets, read_recipe, recipe_digest, to_toml
from manifests.errors import InputError, RecipeError

SMALL = """
name = "small"
[[source]]
name = "pages"
format = "jsonl"
paths = ["in/*.jsonl"]
[[filter]]
rule = "gopher_quality"
min_words = 20
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="recipe.toml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return str(path)

    return write


def error(path, *overrides):
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, overrides)
    return str(caught.value)


def test_paths_are_relative_to_the_recipe(write, tmp_path):
    assert read_recipe(write(SMALL)).source[0].paths == [str(tmp_path / "in" / "*.jsonl")]


def test_uris_stay_as_they_are(write):
    recipe = read_recipe(write(SMALL.replace("in/*.jsonl", "s3://bucket/*.jsonl")))
    assert recipe.source[0].paths == ["s3://bucket/*.jsonl"]


def test_unknown_keys_are_errors_with_the_nearest_known_one(write):
    assert "unknown key 'min_word'; did you mean 'min_words'?" in error(write(SMALL.replace("min_words", "min_word")))
    assert "unknown key 'sed'; did you mean 'seed'?" in error(write("sed = 1\n" + SMALL))
    text = error(write(SMALL + "[dedup.minhash]\nband = 3\n"))
    assert "unknown key 'band' in [dedup.minhash]; did you mean 'bands'?" in text


def test_unknown_rules_are_errors_with_the_nearest_known_one(write):
    assert "did you mean 'gopher_quality'?" in error(write(SMALL.replace("gopher_quality", "gofer_quality")))


def test_thresholds_out_of_range_are_named_with_their_value(write):
    text = error(write(SMALL + "max_bullet_line_ratio = 1.5\n"))
    assert "recipe.toml" in text
    assert "'max_bullet_line_ratio' is 1.5" in text


def test_missing_recipe_and_broken_toml_are_named(write, tmp_path):
    with pytest.raises(InputError, match=r"none.toml: there is no such recipe file"):
        read_recipe(str(tmp_path / "none.toml"))
    assert "is not valid TOML" in error(write("name = "))


def test_off_switches_a_threshold_off_and_zero_does_not(write):
    assert read_recipe(write(SMALL.replace("20", '"off"'))).filter[0].min_words is None
    assert read_recipe(write(SMALL.replace("20", "0"))).filter[0].min_words == 0


def test_overrides_reach_rules_tables_and_top_level_keys(write):
    path = write(SMALL)
    changed = read_recipe(path, ["gopher_quality.min_words=80", "dedup.minhash.bands=7", "seed=3", "pack.length=128"])
    assert (changed.filter[0].min_words, changed.dedup.minhash.bands) == (80, 7)
    assert (changed.seed, changed.pack.length) == (3, 128)
    assert "no [[filter]] with rule = 'c4'" in error(path, "c4.min_words_per_line=3")
    assert "form key=value" in error(path, "seed")


def test_a_preset_is_the_base_and_the_recipe_overrides_it(write):
    plain = read_recipe(write(SMALL))
    fine = read_recipe(write('preset = "datatrove@0.10"\n' + SMALL))
    rules = [rule.rule for rule in fine.filter]
    assert rules[:2] == ["gopher_repetition", "gopher_quality"]
    assert fine.filter[1].min_words == 20
    assert fine.language.keep == ["en"]
    assert plain.language.keep == []
    assert "There are:" in error(write('preset = "datatrove@0.1"\n' + SMALL))


def test_a_key_of_a_table_in_a_filter_can_be_set(write):
    text = (
        SMALL
        + """
[[filter]]
rule = "quality"
models = { good = "good.bin", plain = "plain.bin" }
labels = { good = "hq", plain = "hq" }
min_scores = { good = 0.5, plain = 0.5 }
"""
    )
    recipe = read_recipe(write(text), ["quality.min_scores.good=0.25"])
    assert recipe.filter[-1].min_scores == {"good": 0.25, "plain": 0.5}


def test_every_preset_can_be_read_and_says_where_it_comes_from(write):
    for preset in presets():
        recipe = read_recipe(write(f'preset = "{preset}"\n' + SMALL))
        assert recipe.filter, preset
        text = resources.files("corpus.recipes").joinpath(f"{preset}.toml").read_text("utf-8")
        assert "# Source: " in text, preset
        assert "# Known differences:" in text, preset
    assert {"datatrove@0.10", "fineweb@2024-04"} <= set(presets())


def test_the_resolved_recipe_reads_back_as_itself(write):
    recipe = read_recipe(write(SMALL.replace("20", '"off"')))
    again = read_recipe(write(to_toml(recipe), "resolved.toml"))
    assert again == recipe
    assert tomllib.loads(to_toml(recipe))["filter"][0]["min_words"] == "off"


def test_the_digest_counts_named_files_by_content_and_not_where_things_lie(write, tmp_path):
    listed = SMALL + '[[filter]]\nrule = "url"\ndomains = ["DIR/blocked.txt"]\n'
    for folder in ("a", "b", "c"):
        write("bad.example\n" if folder != "c" else "worse.example\n", f"{folder}/blocked.txt")
    digests = [
        recipe_digest(read_recipe(write(listed.replace("DIR", str(tmp_path / folder)), f"{folder}/recipe.toml")))
        for folder in ("a", "b", "c")
    ]
    assert digests[0] == digests[1] != digests[2]
    assert str(tmp_path) not in str(portable(read_recipe(str(tmp_path / "a" / "recipe.toml"))))


def test_limits_that_nothing_can_pass_are_refused(write):
    text = error(write(SMALL + "max_words = 5\n"))
    assert "[[filter]] gopher_quality: min_words = 20 is above max_words = 5: nothing passes" in text


def test_an_empty_list_takes_a_presets_filters_away_and_no_table_is_an_error(write):
    plain = SMALL[: SMALL.index("[[filter]]")]
    assert read_recipe(write('preset = "datatrove@0.10"\nfilter = []\n' + plain)).filter == []
    assert "[[filter]] has rule = None" in error(write('preset = "datatrove@0.10"\nfilter = ["c4"]\n' + plain))

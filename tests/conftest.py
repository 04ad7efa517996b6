"""The sample crawl and a corpus built from it, made once for all tests that only look at them."""

import shutil

import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.sample import write_sample
from tests.shared import nltk_data

NUM_PAGES = 400


def unwatched(*event):
    """A watcher that does not care."""


def build_local(recipe_path, out, *overrides):
    """Build with the local runner; returns the manifest."""
    return build(read_recipe(str(recipe_path), overrides), str(out), LocalRunner(), unwatched)


@pytest.fixture(scope="session")
def sample_crawl(tmp_path_factory):
    """Folder of a small sample crawl."""
    folder = tmp_path_factory.mktemp("crawl")
    write_sample(str(folder), num_pages=NUM_PAGES)
    return folder


@pytest.fixture(scope="session")
def sample_recipe(sample_crawl):
    """The crawl's recipe, with a tokenizer small enough for it."""
    path = sample_crawl / "small.toml"
    path.write_text((sample_crawl / "recipe.toml").read_text("utf-8").replace("train:4000", "train:1000"), "utf-8")
    return path


@pytest.fixture(scope="session")
def sample_corpus(sample_recipe, tmp_path_factory):
    """Folder of a corpus built from the sample crawl: not to be changed."""
    out = tmp_path_factory.mktemp("corpus") / "corpus"
    build_local(sample_recipe, out)
    return out


@pytest.fixture(scope="session")
def punkt_data():
    """NLTK's data folder is where words = "nltk" and sentences = "punkt" look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLTK_DATA", nltk_data())
        yield


@pytest.fixture
def corpus_copy(sample_corpus, tmp_path):
    """A copy of that corpus, to be changed."""
    return shutil.copytree(sample_corpus, tmp_path / "corpus")

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cluster import cli
from manifests import ledger, shards
from manifests.manifest import read_manifest
from tests.conftest import build_local
from tests.shared import ROOT
from trainer.config import TrainConfig
from trainer.run_files import RunFacts, write_run

# Every command with its arguments and options: what users' scripts rely on. A change here belongs in the changelog.
SURFACE = {
    "ablate": [
        *("corpora", "--out", "--seeds", "--config", "--eval", "--control", "--no-control", "--effect", "--jobs"),
        "--json",
    ],
    "build": ["recipe", "--out", "--runner", "--address", "--num-cpus", "--set"],
    "classifier": [],
    "demo": ["folder"],
    "diff": ["first", "second", "--json"],
    "doctor": ["recipe", "--warm"],
    "export": ["run", "--out", "--ema", "--int8", "--json"],
    "evaluate": ["model", "--data", "--choices", "--generate", "--bias", "--max-tokens", "--json"],
    "explain": ["folder", "document", "--step", "--document", "--json"],
    "filters": ["rule"],
    "remove": [
        *("folder", "--ids", "--urls", "--domains", "--near", "--out", "--run", "--runner", "--address", "--json"),
    ],
    "losses": ["run", "--out", "--json"],
    "prune": ["run", "--out", "--sparsity", "--json"],
    "report": ["out", "--json"],
    "sample": ["folder", "--seed", "--pages"],
    "submit": ["recipe", "--out", "--address", "--follow", "--no-follow", "--set"],
    "train": ["data", "--config", "--out", "--workers", "--address"],
    "verify": ["out", "--json"],
    "whatif": ["out", "--set", "--json"],
}


def parsed(text):
    """JSON without the NaN and Infinity that only Python reads."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_commands_and_options_are_the_listed_ones():
    commands = typer.main.get_command(cli.app).commands
    found = {}
    for name, command in commands.items():
        found[name] = []
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            found[name] += [name for name in names if name != "--help"]
    assert found == SURFACE


@pytest.mark.parametrize("command", sorted(SURFACE))
def test_every_command_explains_itself_and_stands_in_the_readme(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert f"gristmill {command}" in out
    for option in SURFACE[command]:
        assert not option.startswith("--") or option in out
    assert f"gristmill {command}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["grind"], "No such command 'grind'"),
        (["build"], "Missing argument 'RECIPE'"),
        (["build", "r.toml"], "Missing option '--out'"),
        (["build", "r.toml", "--out", "o", "--runner", "fast"], "'ray', 'local'"),
        (["build", "r.toml", "--out", "o", "--num-cpus", "0"], "--num-cpus"),
        (["build", "r.toml", "--out", "o", "--num-cpus", "1", "--runner", "local"], "--num-cpus is for a Ray"),
        (["build", "r.toml", "--out", "o", "--num-cpus", "1", "--address", "auto"], "--num-cpus is for a Ray"),
        (["build", "r.toml", "--out", "o", "--address", "auto", "--runner", "local"], "--address is for --runner ray"),
        (["explain", "corpus"], "give one of a document of a corpus, --step N and --document ID"),
        (["explain", "corpus", "a", "--step", "1"], "give one of a document of a corpus, --step N and --document ID"),
        (["explain", "corpus", "--step", "0"], "--step"),
        (["remove", "corpus"], "give at least one of --ids, --urls and --domains"),
        (["remove", "corpus", "--ids", "a", "--address", "auto"], "--address is for --runner ray"),
        (["whatif", "corpus"], "Missing option '--set'"),
        (["verify", "corpus", "--colour"], "No such option"),
    ],
)
def test_a_wrong_call_exits_with_2(run, monkeypatch, arguments, told):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_no_arguments_show_the_commands(run):
    code, out, err = run()
    assert code == 2
    assert all(command in out + err for command in SURFACE)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "{tmp}/none.toml", "--out", "{tmp}/o", "--runner", "local"], "none.toml: there is no such recipe"),
        (["build", "{tmp}", "--out", "{tmp}/o", "--runner", "local"], "{tmp}: there is no such recipe file"),
        (["build", "{tmp}/file/r.toml", "--out", "{tmp}/o", "--runner", "local"], "file/r.toml"),
        (["build", "{recipe}", "--out", "{tmp}/file", "--runner", "local"], "{tmp}/file"),
        (["build", "{recipe}", "--out", "ftp2://a/b", "--runner", "local"], "ftp2"),
        (["build", "{recipe}", "--out", "{tmp}/o", "--runner", "local", "--set", "pack.lenght=8"], "'length'"),
        (["verify", "{tmp}/none"], "{tmp}/none/manifest.json: there is no manifest"),
        (["verify", "{tmp}/file"], "{tmp}/file/manifest.json: there is no manifest"),
        (["report", "{tmp}/none"], "{tmp}/none/report.json: there is no report"),
        (["explain", "{tmp}/file", "a"], "{tmp}/file"),
        (["explain", "{corpus}", "a"], "no record has url 'a'"),
        (["explain", "{corpus}", "--step", "1"], "there is no training run"),
        (["whatif", "{corpus}", "--set", "min_words"], "must have the form key=value"),
        (["whatif", "{corpus}", "--set", "gopher_quality.min_word=1"], "did you mean 'min_words'"),
        (["remove", "{tmp}/none", "--urls", "{recipe}"], "{tmp}/none/manifest.json: there is no manifest"),
        (["diff", "{corpus}", "{tmp}/none"], "{tmp}/none/manifest.json: there is no manifest"),
        (["sample", "{tmp}/file"], "{tmp}/file"),
        (["submit", "{recipe}", "--out", "{tmp}/o", "--address", "head:6379"], "give one as http://HEAD:8265"),
        (["train", "{tmp}/none"], "{tmp}/none/manifest.json: there is no manifest"),
        (["train", "{corpus}", "--config", "{tmp}/none.toml"], "{tmp}/none.toml"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_an_error_of_the_user_is_one_line_and_exits_with_1(
    run, tmp_path, sample_recipe, sample_corpus, arguments, told
):
    (tmp_path / "file").touch()
    names = {"tmp": tmp_path, "recipe": sample_recipe, "corpus": sample_corpus}
    code, out, err = run(*(argument.format(**names) for argument in arguments))
    assert (code, out) == (1, "")
    assert re.fullmatch(r"gristmill: [^\n]+\.\n", err) or re.fullmatch(r"gristmill: [^\n]+\?\n", err)
    assert told.format(**names) in err


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "/srv/recipe.toml"),
        TimeoutError("s3://bucket/recipe.toml: timed out"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_without_a_traceback(run, monkeypatch, error):
    def read_bytes(uri):
        raise error

    monkeypatch.setattr(shards, "read_bytes", read_bytes)
    code, out, err = run("build", "recipe.toml", "--out", "o", "--runner", "local")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "recipe.toml" in err


def test_an_interrupt_says_how_to_go_on(run, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("cluster.run.build_corpus", interrupted)
    code, out, err = run("build", "recipe.toml", "--out", "o")
    assert (code, out) == (130, "")
    assert "run the same command again" in err


def test_a_local_build_prints_progress_and_its_end(run, sample_recipe, tmp_path):
    code, out, err = run("build", sample_recipe, "--out", tmp_path / "out", "--runner", "local")
    manifest = read_manifest(str(tmp_path / "out"))
    assert code == 0
    assert f"digest {manifest.digest}\n" in out
    assert f"{sum(manifest.counts['fate'].values()):,} records" in out
    lines = err.splitlines()
    last_of_score = [line for line in lines if line.startswith("read, measure, decide: ")][-1]
    documents = sum(manifest.counts["language"].values())
    assert re.fullmatch(
        rf"read, measure, decide: 5/5(, [\d.]+ MB/s)?, kept [\d.]+% of {documents} documents", last_of_score
    )
    # On a machine without compiled kernels the last line tells how long compiling took.
    assert [line for line in lines if "compiled kernels" not in line][-1] == "shuffle and pack: 1/1"


@pytest.mark.slow
def test_a_build_with_ray_prints_nothing_of_ray(sample_recipe, sample_corpus, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    call = [sys.executable, "-m", "cluster.cli", "build", str(sample_recipe), "--out", str(tmp_path / "out")]
    ended = subprocess.run([*call, "--num-cpus", "2"], env=env, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stderr
    assert read_manifest(str(tmp_path / "out")).digest == read_manifest(str(sample_corpus)).digest
    for line in ended.stderr.splitlines():
        assert re.fullmatch(r"[a-z, ]+: \d+/\d+(, .* (MB/s|documents|left))?|.*compiled kernels.*", line)
    assert [line.split()[0] for line in ended.stdout.splitlines()] == [
        "demo:",
        line_of_tokens(tmp_path),
        "seconds:",
        "digest",
        "report",
    ]


def line_of_tokens(folder):
    return f"{read_manifest(str(folder / 'out')).packing.num_tokens:,}"


@pytest.fixture(scope="module")
def a_run(sample_corpus, tmp_path_factory):
    """What a training run of the corpus leaves of itself."""
    out = tmp_path_factory.mktemp("run")
    digest = read_manifest(str(sample_corpus)).digest
    facts = RunFacts(paths=(str(sample_corpus),), digest=digest, config=TrainConfig(global_batch=4, micro_batch=4))
    write_run(str(out), facts)
    (out / "metrics.jsonl").write_text('{"step": 1}\n', "utf-8")
    return out


def test_json_of_the_reading_commands_is_json(run, sample_corpus, a_run):
    (kept,) = ledger.scan(str(sample_corpus)).filter(fate="kept").head(1).collect().to_dicts()
    calls = {
        "report": ["report", sample_corpus],
        "verify": ["verify", sample_corpus],
        "explain": ["explain", sample_corpus, kept["doc_id"]],
        "step": ["explain", a_run, "--step", 1],
        "whatif": ["whatif", sample_corpus, "--set", "gopher_quality.min_words=300"],
        "diff": ["diff", sample_corpus, sample_corpus],
    }
    found = {}
    for name, call in calls.items():
        code, out, err = run(*call, "--json")
        assert (code, err) == (0, "")
        assert out.isascii()
        found[name] = parsed(out)
    assert found["report"] == parsed((sample_corpus / "report.json").read_text("utf-8"))
    assert found["verify"]["problems"] == []
    assert found["explain"][0]["row"] == kept
    names = {"row", "segment_start", "num_tokens", "doc_id", "source", "file", "offset", "url"}
    assert names | {"num_targets", "loss", "bits_per_byte"} == set(found["step"][0])
    assert found["whatif"]["total"]["kept_after"] < found["whatif"]["total"]["kept_before"]
    assert found["diff"]["changes"] == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["report", "{corpus}"], ["records by fate", "not kept, by reason", "report.html"]),
        (["verify", "{corpus}"], ["sound", "1,265 records"]),
        (["explain", "{run}", "--step", "1"], ["step 1: "]),
        (["whatif", "{corpus}", "--set", "language.keep=['de']"], ["language.unwanted", "by language", "by source"]),
        (["diff", "{corpus}", "{corpus}"], ["digest: the same", "no document changes its fate"]),
        (["doctor"], ["ok   python", "ok   package corpus"]),
    ],
)
def test_the_reading_commands_print_for_people(run, sample_corpus, a_run, call, told):
    code, out, err = run(*(argument.format(corpus=sample_corpus, run=a_run) for argument in call))
    assert (code, err) == (0, "")
    assert [text for text in told if text not in out] == []


def test_verify_of_a_damaged_corpus_exits_with_1(run, corpus_copy):
    (corpus_copy / "report.html").write_text("")
    code, out, err = run("verify", corpus_copy)
    assert (code, err) == (1, "")
    assert out.startswith(f"PROBLEM {corpus_copy}/report.html: SHA-256 is ")
    assert run("verify", corpus_copy, "--json")[0] == 1


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m [bold red]loud[/bold red] [link=file:///etc]here[/] \u202egnp.exe \u0000 "
RECIPE = """
name = "hostile"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[normalize]
unicode = "none"
line_ends = false
control_characters = false
zero_width = false
blank_runs = false
[tokenize]
tokenizer = "train:300"
"""


def test_hostile_text_reaches_no_terminal(run, tmp_path):
    row = json.dumps(
        {"id": "1", "url": f"https://a.example/{HOSTILE}", "date": HOSTILE, "text": f"One two. {HOSTILE} end"}
    )
    (tmp_path / "a.jsonl").write_text(f"{row}\n{row[:-9]}\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    build_local(tmp_path / "recipe.toml", tmp_path / "out")
    for doc_id in ledger.scan(str(tmp_path / "out"), ["doc_id"]).collect()["doc_id"]:
        for call in (["explain", tmp_path / "out", doc_id], ["explain", tmp_path / "out", doc_id, "--json"]):
            code, out, err = run(*call)
            assert (code, err) == (0, "")
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    text = run("explain", tmp_path / "out", ledger.scan(str(tmp_path / "out"), ["doc_id"]).collect()["doc_id"][0])[1]
    assert "[bold red]loud[/bold red] [link=file:///etc]here[/]" in text
    code, out, err = run("explain", tmp_path / "out", f"https://a.example/{HOSTILE[:20]}")
    assert code == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", err)


def test_the_sample_command_writes_a_recipe_that_reads(run, tmp_path):
    code, out, err = run("sample", tmp_path / "crawl", "--pages", 200, "--seed", 3)
    assert (code, err) == (0, "")
    assert out == f"{tmp_path}/crawl: sample crawl and {tmp_path}/crawl/recipe.toml\n"
    assert Path(tmp_path, "crawl", "recipe.toml").exists()

import pytest

from manifests import shards
from manifests.errors import InputError, IntegrityError, ManifestMismatch
from manifests.manifest import Manifest, PackingFacts, TokenizerFacts, read_manifest, write_manifest

TOKENIZER = TokenizerFacts(
    path="tokenizer.json",
    kind="tokenizer.json",
    pretokenizer=None,
    vocab_size=300,
    end_of_text_id=256,
    token_type="uint16",
    sha256="0" * 64,
)
PACKING = PackingFacts(length=8, num_rows=1, num_validation_rows=0, num_tokens=9, efficiency=1.0)


def make(**changes):
    facts = {
        "name": "small",
        "seed": 1,
        "recipe": {"name": "small"},
        "recipe_digest": "1" * 64,
        "sources": [],
        "units": [],
        "shards": [],
        "files": [],
        "tokenizer": TOKENIZER,
        "packing": PACKING,
        "models": {},
        "counts": {"fate": {"kept": 1}},
        "schemas": {},
        "versions": {},
    }
    return Manifest(**(facts | changes))


def test_what_is_written_is_read(tmp_path):
    written = write_manifest(str(tmp_path), make())
    assert read_manifest(str(tmp_path)) == written
    assert read_manifest(str(tmp_path / "manifest.json")) == written


def test_digest_leaves_times_out_and_checksum_does_not():
    plain, timed = make().sealed(), make(run={"seconds": 3.5}).sealed()
    assert plain.digest == timed.digest
    assert plain.checksum != timed.checksum
    assert make(seed=2).sealed().digest != plain.digest


def test_every_flipped_byte_is_found(tmp_path):
    write_manifest(str(tmp_path), make(run={"host": "somewhere"}))
    path = tmp_path / "manifest.json"
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises((IntegrityError, ManifestMismatch), match="manifest.json"):
            read_manifest(str(tmp_path))


def test_missing_manifest_says_that_the_build_is_not_finished(tmp_path):
    with pytest.raises(InputError, match="there is no manifest.*run `gristmill build` again"):
        read_manifest(str(tmp_path))


def test_another_format_is_refused_with_both_shown(tmp_path):
    shards.write_bytes(str(tmp_path / "manifest.json"), b'{"format": "other/9"}')
    with pytest.raises(ManifestMismatch, match="'other/9'.*'gristmill-manifest/2'"):
        read_manifest(str(tmp_path))

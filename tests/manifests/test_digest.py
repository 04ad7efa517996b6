import math
import subprocess
import sys

import pytest

from manifests import digest


def test_known_values_do_not_change():
    assert digest.unit_id("crawl", "a.warc.gz") == "803ed1726ad56d53"
    assert digest.document_id("crawl", "a.warc.gz", 0) == "37a3e5ef200a9a23ebf760af0cbcd61d"
    assert digest.digest_json({"b": 1, "a": [1.5, None, "é"]}) == digest.digest_bytes(
        '{"a":[1.5,null,"é"],"b":1}'.encode()
    )
    assert digest.hash_fraction("x", "shuffle", 1) == 0.12989464415011687


def test_ids_do_not_depend_on_the_hash_seed_of_python():
    code = "from manifests.digest import document_id; print(document_id('s', 'f', 5))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {digest.document_id("s", "f", 5) + "\n"}


def test_names_cannot_run_into_each_other():
    assert digest.document_id("a", "b\0c", 1) != digest.document_id("a\0b", "c", 12)
    assert digest.unit_id("ab", "c") != digest.unit_id("a", "bc")


def test_fractions_are_even():
    values = [digest.hash_fraction(str(n), "p", 0) for n in range(2000)]
    assert all(0 <= value < 1 for value in values)
    assert abs(sum(values) / 2000 - 0.5) < 0.03


def test_nan_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest.digest_json(math.nan)

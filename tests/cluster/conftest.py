"""The command line, called in this process."""

import sys

import pytest

from cluster import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `gristmill` here; returns exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gristmill", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return call

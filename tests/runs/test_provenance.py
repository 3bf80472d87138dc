"""What a result depends on, also where the package was not installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import rl_abn
from rl_abn.command_line import running, typed_or
from rl_abn.runs.provenance import provenance


def test_a_package_that_lies_on_a_path_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(package: str) -> str:
        if package == "rl-abn":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setitem(provenance.__globals__, "version", installed)
    versions = provenance("cpu")["versions"]
    assert versions["rl-abn"] == rl_abn.__version__
    assert versions["torch"] == version("torch")


def test_a_python_programs_arguments_are_no_command_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["mine.py", "notebook.ipynb", "--alpha", "3"])
    assert provenance("cpu")["command"] is None
    same = typed_or("train", "--env", "pong", settings=["a.b={start=1.0}", "c=2"])
    assert same == "rl-abn train --env pong --set 'a.b={start=1.0}' --set c=2"
    with running(["vision", "fit", "--out", "a b"]):
        assert provenance("cpu")["command"] == "rl-abn vision fit --out 'a b'"
        assert typed_or("train") == "rl-abn vision fit --out 'a b'"
    assert provenance("cpu")["command"] is None

"""What a result depends on, also where the package was not installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import rl_abn
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

"""The page in one file, with episodes in it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import pytest

from rl_abn.cli import main
from rl_abn.errors import RlAbnError
from rl_abn.view import export as export_module
from rl_abn.view.bundle import bundle
from rl_abn.view.export import export
from tests.record.played import play


@pytest.fixture
def page(tmp_path, capsys):
    play(tmp_path / "episodes" / "one", 70, title="</script><script>alert(1)</script>")
    path = tmp_path / "out" / "page.html"
    main(["view", str(tmp_path / "episodes"), "--export", str(path)])
    assert "MB:" in capsys.readouterr().out
    return tmp_path, path.read_text("utf-8")


def scripts(page):
    return dict(re.findall(r'<script type="([\w/]+)"[^>]*>(.*?)</script>', page, re.DOTALL))


def test_it_holds_the_episodes(page):
    folder, text = page
    (held,) = json.loads(scripts(text)["application/json"])["episodes"]
    assert held["meta"]["n_steps"] == 70
    assert held["meta"]["title"] == "</script><script>alert(1)</script>"
    assert held["meta"]["can_ask"] is False
    assert len(held["curves"]["value"]) == 70
    assert held["highlights"]
    for chunk in (0, 1):
        sheet = folder / f"episodes/one/frames/{chunk:06d}.png"
        assert base64.b64decode(held["sheets"][chunk]) == sheet.read_bytes()
        trace = folder / f"episodes/one/trace/{chunk:06d}.safetensors"
        assert base64.b64decode(held["traces"][chunk]) == trace.read_bytes()


def test_it_does_not_say_where_and_by_whom_it_was_recorded(tmp_path):
    continues = {"of": "agent on Pong", "step": 3, "side": "own", "edit": None}
    source = {
        "agent": {"name": "agent", "run": "/home/somebody/runs/pong"},
        "device": "somebodys-machine",
        "started": "2026-01-01",
        "versions": {"torch": "9.9"},
        "continues": continues,
    }
    play(tmp_path / "somebody" / "one", 3, source=source)
    export([tmp_path / "somebody" / "one"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    for private in ("somebody", str(tmp_path), "2026-01-01", "9.9"):
        assert private not in text
    (held,) = json.loads(scripts(text)["application/json"])["episodes"]
    assert held["meta"]["source"] == {"continues": continues}
    assert held["meta"]["label"] == "one"


def test_nothing_is_loaded_from_elsewhere(page):
    _, text = page
    assert not re.search(r'(src|href)="(?!data:)', text)
    code = scripts(text)["module"]
    assert code == bundle()
    assert not re.search(r"^(import|export)\b", code, re.MULTILINE)


def test_only_its_own_scripts_run(page):
    _, text = page
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
    assert "default-src 'none'" in policy
    digest = hashlib.sha256(scripts(text)["module"].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}';" in policy
    # What an episode says is no script.
    assert "<script>alert" not in text


def test_what_cannot_be_exported_is_a_line(tmp_path, monkeypatch):
    with pytest.raises(RlAbnError, match=r"expected a file \.html to export to"):
        export([tmp_path], tmp_path / "page.txt")
    with pytest.raises(RlAbnError, match="expected episodes to export, got none in"):
        export([tmp_path], tmp_path / "page.html")
    play(tmp_path / "one", 3)
    monkeypatch.setattr(export_module, "MOST_BYTES", 100)
    with pytest.raises(RlAbnError, match="expected episodes of at most 0 MB for one file"):
        export([tmp_path], tmp_path / "page.html")

"""Writes the page and some episodes into one file, which opens from disk without a server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output
from rl_abn.record.chunks import FRAMES, TRACE
from rl_abn.view.bundle import STATIC, bundle
from rl_abn.view.episodes import OpenEpisode, as_json, finite
from rl_abn.view.library import Library

MOST_BYTES = 2**28
_SCRIPT = re.compile(r'<script type="module" src="js/main\.js"></script>')
_STYLE = re.compile(r'<link rel="stylesheet" href="style\.css">')
_ICON = re.compile(r'href="icon\.svg"')


def export(folders: Sequence[Path], path: Path) -> int:
    """Writes all episodes below some folders into one page.

    It shows all that a server would but what needs the agent: what-if and futures.

    Args:
        folders: Episodes, runs, or folders of such.
        path: The file, .html.

    Returns:
        Its bytes.

    Raises:
        RlAbnError: If there are no episodes, they are too large for one file, or it cannot be
            written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise RlAbnError(f"expected a file .html to export to, got '{path}'")
    library = Library(folders)
    if not library.episodes:
        named = ", ".join(map(str, folders))
        raise RlAbnError(
            f"expected episodes to export, got none in {named}; make one: rl-abn record"
        )
    opened = [OpenEpisode(found, library) for found in library.episodes.values()]
    total = sum(_file_bytes(each) for each in opened)
    if total > MOST_BYTES:
        raise RlAbnError(
            f"expected episodes of at most {MOST_BYTES / 1e6:.0f} MB for one file, got "
            f"{total / 1e6:.0f} MB in {len(opened):,}; name fewer"
        )
    titles = {each.episode.meta.title for each in opened}
    page = page_with([_held(each) for each in opened], "; ".join(sorted(titles)))
    write_output(path, page)
    return len(page)


def page_with(episodes: Sequence[Any], title: str) -> bytes:
    """Returns the page with episodes in it.

    A page from disk may load no modules of other files. So the page holds them as one.

    Args:
        episodes: As the page reads them.
        title: Of the page.
    """
    script = bundle()
    held = as_json(finite({"episodes": list(episodes)})).decode().replace("<", "\\u003c")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            "style-src 'unsafe-inline'",
            "img-src blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    scripts = (
        f'<script type="application/json" id="embedded">{held}</script>\n'
        f'<script type="module">{script}</script>'
    )
    style = (STATIC / "style.css").read_text("utf-8")
    icon = _as_data((STATIC / "icon.svg").read_bytes(), "image/svg+xml")
    page = (STATIC / "index.html").read_text("utf-8")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    for pattern, text in (
        (re.compile("<title>.*?</title>"), f"{meta}\n<title>{html.escape(title)}</title>"),
        (_ICON, f'href="{icon}"'),
        (_STYLE, f"<style>\n{style}</style>"),
        (_SCRIPT, scripts),
    ):
        before, after = pattern.split(page)  # there is one of each
        page = before + text + after
    return page.encode()


def _held(opened: OpenEpisode) -> dict[str, Any]:
    """Returns an episode as the page reads it from its own file."""
    chunks = range(opened.episode.n_chunks)
    return {
        "meta": {
            **opened.meta(),
            "label": opened.found.path.name,  # not where it lay: the file is handed on
            "run": None,
            "can_ask": False,
            "why_not": "This file holds the game and not the agent: what-if needs rl-abn view",
        },
        "curves": json.loads(opened.curves()),
        "highlights": json.loads(opened.highlights()),
        "sheets": [_base64(opened.file(FRAMES, chunk).read_bytes()) for chunk in chunks],
        "traces": [_base64(opened.file(TRACE, chunk).read_bytes()) for chunk in chunks],
    }


def _file_bytes(opened: OpenEpisode) -> int:
    return sum(
        opened.file(kind, chunk).stat().st_size
        for chunk in range(opened.episode.n_chunks)
        for kind in (FRAMES, TRACE)
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _as_data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{_base64(content)}"


def _hash(script: str) -> str:
    return f"'sha256-{_base64(hashlib.sha256(script.encode()).digest())}'"

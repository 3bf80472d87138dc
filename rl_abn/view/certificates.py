"""The certificate of a run's newest explanation, and its page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.explain.certificate import ONLY_WHEN_ASKED, QUESTIONS
from rl_abn.explain.written import CERTIFICATE, EXPLANATIONS, PAGE
from rl_abn.files.text import read_json
from rl_abn.view.library import FoundRun, Library

MOST_EXPLANATIONS = 200
MOST_TEXT = 2000
_VERDICTS = {"yes", "no", "partly", "unclear", "not asked"}


def certificate_of_run(found: FoundRun, library: Library) -> dict[str, Any] | None:
    """Returns title and lines of the newest explanation that lies in a run; None without one.

    "page" says whether its page lies there too. What is no certificate is passed over.
    """
    newest = _newest(found, library)
    if newest is None:
        return None
    folder, title, lines = newest
    return {
        "title": title,
        "explanation": folder.name,
        "lines": lines,
        "page": _page_in(folder, library) is not None,
    }


def explanation_page(found: FoundRun, library: Library) -> Path | None:
    """Returns the page of the explanation that `certificate_of_run` tells; None without one."""
    newest = _newest(found, library)
    return None if newest is None else _page_in(newest[0], library)


def _newest(found: FoundRun, library: Library) -> tuple[Path, str, list[dict[str, str]]] | None:
    """Returns folder, title and lines of the newest explanation with a whole certificate."""
    for folder in _newest_first(found.run.path / EXPLANATIONS, library):
        with suppress(RlAbnError, KeyError, TypeError):
            data = read_json(folder / CERTIFICATE)
            lines = [_line(line) for line in data["certificate"]]
            asked = [line["question"] for line in lines]
            if asked == [q for q in QUESTIONS if q in asked or q not in ONLY_WHEN_ASKED]:
                return folder, str(data["title"])[:MOST_TEXT], lines
    return None


def _page_in(folder: Path, library: Library) -> Path | None:
    page = folder / PAGE
    return page if page.is_file() and library.is_inside(page) else None


def _newest_first(folder: Path, library: Library) -> list[Path]:
    try:
        found = [
            (path.stat().st_mtime, path.parent)
            for path in list(folder.glob(f"*/{CERTIFICATE}"))[:MOST_EXPLANATIONS]
            if path.is_file() and library.is_inside(path)
        ]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def _line(line: dict[str, Any]) -> dict[str, str]:
    verdict = line["verdict"] if line["verdict"] in _VERDICTS else "unclear"
    asks = QUESTIONS[line["question"]]
    text = str(line["text"])[:MOST_TEXT]
    return {"question": line["question"], "asks": asks, "verdict": verdict, "text": text}

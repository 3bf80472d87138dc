"""The certificate of a run's newest explanation, and its page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.explain.certificate import QUESTIONS
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
    for folder in _newest_first(found.run.path / EXPLANATIONS, library):
        with suppress(RlAbnError, KeyError, TypeError):
            data = read_json(folder / CERTIFICATE)
            lines = [_line(line) for line in data["certificate"]]
            if [line["question"] for line in lines] == list(QUESTIONS):
                return {
                    "title": str(data["title"])[:MOST_TEXT],
                    "explanation": folder.name,
                    "lines": lines,
                    "page": explanation_page(found, library) is not None,
                }
    return None


def explanation_page(found: FoundRun, library: Library) -> Path | None:
    """Returns the page of the newest explanation that lies in a run; None without one."""
    for folder in _newest_first(found.run.path / EXPLANATIONS, library):
        page = folder / PAGE
        if page.is_file() and library.is_inside(page):
            return page
    return None


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

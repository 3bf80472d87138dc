"""The certificate of a run's newest explanation, and its page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.explain.certificate import QUESTIONS
from rl_abn.explain.stored import StoredCertificate, read_certificate
from rl_abn.explain.written import CERTIFICATE, EXPLANATIONS, PAGE
from rl_abn.view.library import FoundRun, Library

MOST_EXPLANATIONS = 200


def certificate_of_run(found: FoundRun, library: Library) -> dict[str, Any] | None:
    """Returns title and lines of the newest explanation that lies in a run; None without one.

    "page" says whether its page lies there too. What is no certificate is passed over.
    """
    newest = _newest(found, library)
    if newest is None:
        return None
    folder, stored = newest
    return {
        "title": stored.title,
        "explanation": folder.name,
        "lines": [
            {**line._asdict(), "asks": QUESTIONS[line.question]}
            for line in stored.certificate.lines
        ],
        "page": _page_in(folder, library) is not None,
    }


def explanation_page(found: FoundRun, library: Library) -> Path | None:
    """Returns the page of the explanation that `certificate_of_run` tells; None without one."""
    newest = _newest(found, library)
    return None if newest is None else _page_in(newest[0], library)


def _newest(found: FoundRun, library: Library) -> tuple[Path, StoredCertificate] | None:
    """Returns the folder of the newest explanation with a whole certificate, and that.

    Without one it is the certificate that an agent was handed on with, in the run folder itself.
    """
    handed_on = [found.run.path] if library.is_inside(found.run.path / CERTIFICATE) else []
    for folder in _newest_first(found.run.path / EXPLANATIONS, library) + handed_on:
        with suppress(RlAbnError):
            return folder, read_certificate(folder / CERTIFICATE)
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

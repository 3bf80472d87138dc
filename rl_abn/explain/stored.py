"""Reads the certificates that explanations left in a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, get_args

from rl_abn.errors import RlAbnError
from rl_abn.explain.certificate import ONLY_WHEN_ASKED, QUESTIONS, Certificate, Line, Verdict
from rl_abn.explain.written import CERTIFICATE, EXPLANATIONS
from rl_abn.files.text import read_json

MOST_TEXT = 2000
"""What is longer is cut."""


class StoredCertificate(NamedTuple):
    """A certificate as its file has it.

    Attributes:
        path: The file.
        title: Of the explanation.
        subtitle: What it was made of; empty in files of older versions.
        certificate: The lines.
    """

    path: Path
    title: str
    subtitle: str
    certificate: Certificate


def read_certificate(path: Path) -> StoredCertificate:
    """Reads a certificate's file; verdicts that it does not know are unclear.

    Raises:
        RlAbnError: If it is no certificate, or not a whole one.
    """
    data = read_json(path)
    try:
        lines = tuple(_line(line) for line in data["certificate"])
        title = str(data["title"])[:MOST_TEXT]
    except (KeyError, TypeError):
        raise RlAbnError(f"{path}: expected a certificate of 'rl-abn explain', got none") from None
    asked = [line.question for line in lines]
    if asked != [q for q in QUESTIONS if q in asked or q not in ONLY_WHEN_ASKED]:
        raise RlAbnError(f"{path}: expected the lines of a certificate, got {asked}")
    subtitle = str(data.get("subtitle", ""))[:MOST_TEXT]
    return StoredCertificate(path, title, subtitle, Certificate(lines))


def certificate_of_checkpoint(run: Path, step: int) -> StoredCertificate | None:
    """Returns the certificate that tells most of a checkpoint; None where none can be read.

    A full explanation's comes before a quick one's, a newer one before an older; last comes the one
    that an agent was handed on with, which lies in the run folder itself.

    Args:
        run: The run folder.
        step: Of the checkpoint.
    """
    found: list[tuple[int, float, StoredCertificate]] = []
    explained = (run / EXPLANATIONS).glob(f"step-{step}-*/{CERTIFICATE}")
    for path in [run / CERTIFICATE, *explained]:
        with suppress(RlAbnError, OSError):
            stored = read_certificate(path)
            kind = path.parent.name.removeprefix(f"step-{step}-").partition("-")[0]
            rank = 0 if path.parent == run else 2 if kind == "full" else 1
            found.append((rank, path.stat().st_mtime, stored))
    return max(found)[2] if found else None


def _line(line: dict[str, str]) -> Line:
    known = {word: word for word in get_args(Verdict)}
    verdict: Verdict = known.get(line["verdict"], "unclear")
    return Line(str(line["question"]), verdict, str(line["text"])[:MOST_TEXT])

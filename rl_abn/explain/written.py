"""What an explanation leaves on disk: where it lies, the page, the numbers, the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rl_abn.explain.page import page
from rl_abn.explain.report import Explanation
from rl_abn.files.text import write_output

EXPLANATIONS = "explanations"
"""The folder in a run."""
PARTS = "parts"
PAGE, DATA = "explanation.html", "explanation.json"
CERTIFICATE = "certificate.json"


class Written(NamedTuple):
    """What was written.

    Attributes:
        page: The HTML file.
        data: The JSON file.
        explanation: What stands in them.
    """

    page: Path
    data: Path
    explanation: Explanation


def folder_of(run: Path, point: str, *, quick: bool, seed: int) -> Path:
    """Returns the folder of an explanation in a run.

    Args:
        run: The run folder.
        point: The checkpoint, such as "step-100".
        quick: Whether it is the quick one.
        seed: Of everything that is drawn.
    """
    return run / EXPLANATIONS / f"{point}-{'quick' if quick else 'full'}-{seed}"


def write_explanation(folder: Path, explanation: Explanation) -> Written:
    """Writes the page, the numbers, and the certificate as text and JSON.

    Raises:
        RlAbnError: If they cannot be written.
    """
    shown, data = folder / PAGE, folder / DATA
    write_output(data, explanation.as_json())
    write_output(shown, page(explanation))
    lines = {
        "title": explanation.title,
        "subtitle": explanation.subtitle,
        "lines": [str(line) for line in explanation.certificate.lines],
        "certificate": explanation.certificate.as_json(),
    }
    write_output(folder / CERTIFICATE, lines)
    write_output(folder / "certificate.txt", f"{explanation.certificate}\n".encode())
    return Written(shown, data, explanation)

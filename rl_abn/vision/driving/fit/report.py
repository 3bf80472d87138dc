"""The page of a fit: what was found of a driver, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rl_abn import __version__
from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import Certificate
from rl_abn.explain.page import page
from rl_abn.explain.report import Block, Explanation, Picture, Table, Text, Verdicts
from rl_abn.explain.written import Written
from rl_abn.files.text import write_output
from rl_abn.vision.driving.closed_loop import ClosedLoop
from rl_abn.vision.driving.fit.drive_blocks import drive_blocks
from rl_abn.vision.driving.fit.frames import Frames
from rl_abn.vision.driving.fit.held_out import HeldOut
from rl_abn.vision.driving.fit.networks import Fitted
from rl_abn.vision.driving.fit.request import DATA, PAGE, FitRequest
from rl_abn.vision.driving.fit.said import caveats_said, methods_said
from rl_abn.vision.tasks import column_of


class Found(NamedTuple):
    """What was found of a driver.

    Attributes:
        networks: The one that it is about, and those beside it.
        held_out: Scores on held-out frames.
        drives: On tracks; None where nothing was driven.
        why_not: Why nothing was; "" where it was.
        notes: What is to be known of the drives, such as tracks that the log shows.
        explanation: Of the first network.
        log_frames: From the log.
        drive_frames: From a drive of the first network; None where nothing was driven.
    """

    networks: list[Fitted]
    held_out: HeldOut
    drives: ClosedLoop | None
    why_not: str
    notes: list[str]
    explanation: Written
    log_frames: Frames
    drive_frames: Frames | None


class Report(NamedTuple):
    """What was written.

    Attributes:
        page: The HTML file.
        data: The JSON file.
        driven: Whether anything was driven.
    """

    page: Path
    data: Path
    driven: bool


def write_report(request: FitRequest, found: Found) -> Report:
    """Writes the page and its numbers into the fit's folder.

    Raises:
        RlAbnError: If they cannot be written.
    """
    report = driver_report(request, found)
    shown, data = request.folder / PAGE, request.folder / DATA
    write_output(data, report.as_json())
    write_output(shown, page(report))
    return Report(shown, data, found.drives is not None)


def driver_report(request: FitRequest, found: Found) -> Explanation:
    """Puts a report together.

    Args:
        request: What was asked for.
        found: What was found.
    """
    first = found.networks[0]
    env, epoch = first.run.recipe.env, first.trained.checkpoint.step
    drives = found.drives is not None
    does = f"drives {env.title}" if drives else f"follows the driver ({env.title})"
    where = ", and where it looks" if first.has_map else ""
    sections: list[tuple[str, list[Block]]] = [
        ("On tracks it has never seen", _drive_section(found)),
        ("On held-out frames of the log", [_errors(found.held_out)]),
        ("Where it looks", _look_section(request, found)),
    ]
    return Explanation(
        title=f"How well {first.name} {does}{where}",
        subtitle=(
            f"{_in_brief(found)}; one training of {epoch} epochs; 95% bootstrap intervals; "
            f"rl-abn {__version__}"
        ),
        certificate=Certificate(()),  # its lines stand in the last section: driving comes first
        sections=sections if drives else [*sections[1:], sections[0]],
        asked=_asked(request, found),
        methods=methods_said(found.drives),
        caveats=caveats_said(request, found.notes, has_map=first.has_map),
        data=_data(request, found),
    )


def _in_brief(found: Found) -> str:
    name, number = next(iter(found.held_out.rows[0][1].items()))
    column = column_of(name)
    error = f"{column.heading} {_shown(name, number):.3f} on {found.held_out.n:,} held-out frames"
    if found.drives is None:
        return f"nothing was driven; {error}"
    driven = {driver.contender.name: driver.summary.score for driver in found.drives.drivers}
    own, expert = next(iter(driven.values())), driven.get("expert")
    beside = "" if expert is None else f", the expert {expert:.0f}"
    n = len(found.drives.tracks)
    return f"score {own:.0f} on {n} {'track' if n == 1 else 'tracks'}{beside}; {error}"


def _drive_section(found: Found) -> list[Block]:
    if found.drives is None:
        return [Text("Nothing was driven", f"{found.why_not[:1].upper()}{found.why_not[1:]}.")]
    blocks = drive_blocks(found.drives)
    if found.drive_frames is not None:
        says = "Spread over its drive of the first track, as the camera shows them"
        title = f"{found.networks[0].name} on track {found.drives.tracks[0]}"
        blocks.append(_picture(title, says, found.drive_frames))
    return blocks


def _errors(held_out: HeldOut) -> Table:
    names = list(dict.fromkeys(name for _, numbers in held_out.rows for name in numbers))
    rows: list[tuple[str, list[Estimate | float | str | None]]] = [
        (who, [_shown(name, numbers.get(name)) for name in names]) for who, numbers in held_out.rows
    ]
    return Table(
        "How far answers are from the driver's",
        f"{held_out.n:,} frames that no network learned from. Small errors add up while driving, "
        "so drives come first. The control of the frame before is context, not a rival: it has "
        "seen what the driver did a moment ago.",
        ("answer of", *(column_of(name).heading for name in names)),
        rows,
        ".3f",
        first_is_studied=True,
    )


def _look_section(request: FitRequest, found: Found) -> list[Block]:
    first, written = found.networks[0], found.explanation
    link = written.page.relative_to(request.folder).as_posix()
    explained = written.explanation
    if first.has_map:
        says = "Five answers on its map; the first ones stand on the numbers below."
        used = next(blocks for title, blocks in explained.sections if title == "Is it used?")
    else:
        studied = explained.asked["studied map"].replace("_", " ")
        says = (
            f"{first.name} has no attention map of its own: there is nothing to flatten, and its "
            f"frames are shown without one. These answers are on {studied}, a map that is made "
            "of the trained network from outside."
        )
        used = []
    blocks: list[Block] = [
        Verdicts(
            "Its explanation" if first.has_map else "It has no map", says, explained.certificate
        ),
        Text(
            "All of it",
            "Every map, every control and what they do not show.",
            link,
            "The explanation",
        ),
        *used,
    ]
    blocks.append(_picture("Held-out frames", "Spread over them", found.log_frames))
    return blocks


def _picture(title: str, says: str, frames: Frames) -> Picture:
    beside = (
        "; below, the same under its map, as multiples of an even map."
        if frames.maps is not None
        else "; there is no map to show."
    )
    return Picture(title, says + beside, frames.sheet())


def _shown(name: str, number: Estimate | None) -> Estimate | None:
    if number is None or not column_of(name).share:
        return number
    return number.each(lambda share: 100 * share)


def _asked(request: FitRequest, found: Found) -> dict[str, str]:
    drives = found.drives
    log = str(found.networks[0].log)
    if request.data is None:
        log += f", the expert's on {request.log_tracks} tracks"
    asked = {
        "networks": ", ".join(
            f"{fitted.name}, epoch {fitted.trained.checkpoint.step}" for fitted in found.networks
        ),
        "data": f"{found.networks[0].run.recipe.env_name}: {log}",
        "learned from": f"{found.networks[0].trained.outputs.n_train:,} frames",
        "settings": " ".join(request.settings) or "the recipes'",
        "seed": str(request.seed),
        "extent": "quick" if request.quick else "full; the explanation is the quick one",
    }
    if drives is not None:
        asked["tracks"] = f"{drives.tracks[0]} to {drives.tracks[-1]}"
        asked["drives"] = f"at most {drives.rules.max_steps:,} steps"
        asked["look"] = drives.rules.look
    return asked


def _data(request: FitRequest, found: Found) -> dict[str, Any]:
    return {
        "networks": [
            {
                "name": fitted.name,
                "run": str(fitted.run.path),
                "epoch": fitted.trained.checkpoint.step,
                "has_map": fitted.has_map,
            }
            for fitted in found.networks
        ],
        "held_out": found.held_out.as_json(),
        "drives": None if found.drives is None else found.drives.as_json(),
        "why_not_driven": found.why_not or None,
        "explanation": found.explanation.data.relative_to(request.folder).as_posix(),
        "certificate": found.explanation.explanation.certificate.as_json(),
    }

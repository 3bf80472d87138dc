"""Networks and the expert on the same tracks, one beside the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.progress import ProgressReport
from rl_abn.runs import write_output
from rl_abn.vision.data import tracks_driven
from rl_abn.vision.driving.carracing.camera import CameraDriver
from rl_abn.vision.driving.carracing.drive import Observer, Rules, drive
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.log import parse_frame_name
from rl_abn.vision.driving.carracing.results import Summary, TrackResult, difference, summarise
from rl_abn.vision.driving.carracing.simulator import Simulator
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import data_of

DRIVEN_FROM = 0
"""The first of the tracks that networks drive, unless another is chosen."""
LEARNED_FROM = 1000
"""The first of the tracks that logs are recorded on, unless another is chosen."""
_MOST_NAMED = 5
_SAID = ("name", "run", "step", "intervention", "five_actions")  # of a contender, in JSON


@dataclass(frozen=True, eq=False)
class Contender:
    """Who drives.

    Attributes:
        name: For people.
        driver: The network behind its camera, or the expert.
        run: The network's run folder; None for the expert.
        step: The checkpoint's epoch; None for the expert.
        intervention: What is done to its maps, if anything.
        five_actions: Whether it has CarRacing's five actions and no other controls.
    """

    name: str
    driver: CameraDriver | Expert
    run: str | None = None
    step: int | None = None
    intervention: str | None = None
    five_actions: bool = False


Keep: TypeAlias = Callable[[Contender, int, Callable[[], TrackResult]], TrackResult]
"""Who drives, which track, and what does it; returns the drive."""


class Driven(NamedTuple):
    """One driver's drives.

    Attributes:
        contender: Who.
        results: One a track.
        summary: Their means.
        difference: Of its score to the first driver's on the same tracks; None for the first.
    """

    contender: Contender
    results: list[TrackResult]
    summary: Summary
    difference: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """Returns the drives as plain data."""
        who = {field: getattr(self.contender, field) for field in _SAID}
        return {
            **who,
            "summary": _plain(self.summary),
            "difference": self.difference and self.difference._asdict(),
            "tracks": [asdict(result) for result in self.results],
        }


class ClosedLoop(NamedTuple):
    """How well drivers drive.

    Attributes:
        tracks: Those that all of them drove, by Gymnasium's seeds.
        rules: How drives went.
        drivers: The first is what the others are compared with.
        interrupted: Whether there were to be more tracks.
    """

    tracks: list[int]
    rules: Rules
    drivers: list[Driven]
    interrupted: bool

    def as_json(self) -> dict[str, Any]:
        """Returns the drives as plain data."""
        return {
            "simulator": "CarRacing-v3",
            "tracks": self.tracks,
            "rules": asdict(self.rules),
            "drivers": [driven.as_json() for driven in self.drivers],
        }

    def keep(self, run: VisionRun) -> Path:
        """Writes the drives into the run's evaluations/."""
        contenders = [driven.contender for driven in self.drivers]
        name = f"drive-epoch-{contenders[0].step}-tracks-{self.tracks[0]}-{self.tracks[-1]}"
        said = [f"{c.run} {c.step} {c.intervention} {c.five_actions}" for c in contenders[1:]]
        said.append(str(self.rules))
        name += f"-{sha256(' '.join(said).encode()).hexdigest()[:8]}"
        path = run.path / "evaluations" / f"{name}.json"
        write_output(path, self.as_json())
        return path


def contenders_of(
    runs: Sequence[VisionRun],
    *,
    interventions: Sequence[str] = (),
    step: int | None = None,
    five_actions: bool = False,
    device: str = "auto",
) -> list[Contender]:
    """Brings networks to the start, and the expert last; with five actions too if one has those.

    Args:
        runs: Whose networks; the first may be none.
        interventions: What is done to the first one's maps, one driver more each.
        step: The first one's checkpoint, by epoch; None is the newest.
        five_actions: Whether all have CarRacing's five actions and no other controls.
        device: Where networks run.

    Raises:
        RlAbnError: If a checkpoint will not do, or a network cannot drive.
    """
    where = device_of(device)
    names = [run.recipe.agent_name for run in runs]
    contenders = []
    for i, run in enumerate(runs):
        trained = load_network(run, step=None if i else step, device=where)
        name = names[i] if names.count(names[i]) == 1 else f"{names[i]} ({run.path})"
        for change in (None, *interventions) if i == 0 else (None,):
            driver = CameraDriver(trained, run.recipe, change)
            contenders.append(
                Contender(
                    name=name if change is None else f"{name}, maps {change}",
                    driver=driver,
                    run=str(run.path),
                    step=trained.checkpoint.step,
                    intervention=change,
                    five_actions=five_actions or driver.acts,
                )
            )
    if not five_actions:
        contenders.append(Contender("expert", Expert()))
    if five_actions or any(contender.five_actions for contender in contenders):
        contenders.append(Contender("expert, five actions", Expert(), five_actions=True))
    return contenders


def drive_all(
    contenders: Sequence[Contender],
    tracks: Sequence[int],
    rules: Rules,
    *,
    observers: Sequence[Observer] = (),
    simulator: Simulator | None = None,
    report: ProgressReport | None = None,
    keep: Keep | None = None,
) -> ClosedLoop:
    """Lets everyone drive one track, then the next. A Ctrl-C ends it after the last whole one.

    Args:
        contenders: Who drives.
        tracks: Which tracks, by Gymnasium's seeds.
        rules: How a drive goes.
        observers: Who watches the first driver on the first track, large pictures too.
        simulator: Which car; None is a new one.
        report: Shows how far it is, in drives.
        keep: Returns a drive that was done before, or lets it be done; None does all of them.

    Raises:
        RlAbnError: If Box2D is missing or there is no such track.
        KeyboardInterrupt: If there is no whole track yet.
    """
    simulator = simulator or Simulator()
    results: list[list[TrackResult]] = []
    interrupted = False
    try:
        for track in tracks:
            driven: list[TrackResult] = []
            for contender in contenders:
                watching = () if results or driven else observers
                go = partial(_drive, contender, track, rules, watching, simulator)
                driven.append(go() if keep is None else keep(contender, track, go))
                if report is not None:
                    done = len(results) * len(contenders) + len(driven)
                    report.update(done, track=track, driver=contender.name)
            results.append(driven)
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    whole = [list(drives) for drives in zip(*results, strict=True)]
    lines = [
        Driven(contender, drives, summarise(drives), difference(drives, whole[0]) if i else None)
        for i, (contender, drives) in enumerate(zip(contenders, whole, strict=True))
    ]
    return ClosedLoop(list(tracks[: len(results)]), rules, lines, interrupted)


def what_was_learned(run: VisionRun, tracks: Sequence[int]) -> str | None:
    """Returns what is wrong with driving some tracks as if the network had never seen them.

    None where its log shows other tracks.
    """
    try:
        learned = tracks_driven(data_of(run), track_of)
    except RlAbnError:
        return f"{run.path}: its log is not there any more: it may show the tracks that are driven"
    both = sorted(learned & set(tracks))
    if both:
        said = ", ".join(map(str, both[:_MOST_NAMED])) + (" ..." if both[_MOST_NAMED:] else "")
        return (
            f"{run.path}: learned from a log of {len(both)} of the tracks it drives here ({said}): "
            f"choose others with --seed, such as {max(learned) + 1}"
        )
    return None


def _drive(
    contender: Contender,
    track: int,
    rules: Rules,
    observers: Sequence[Observer],
    simulator: Simulator,
) -> TrackResult:
    if isinstance(contender.driver, CameraDriver):
        contender.driver.begin(track)
    own = replace(rules, five_actions=contender.five_actions)
    screens = bool(observers)
    return drive(
        contender.driver, [track], own, observers=observers, screens=screens, simulator=simulator
    )[0]


def track_of(image: str) -> int | None:
    """Returns the track that a log's picture shows, by its name; None where it says nothing."""
    name = parse_frame_name(image)
    return None if name is None else name.track


def _plain(summary: Summary) -> dict[str, Any]:
    values = {name: getattr(summary, name) for name in Summary.__dataclass_fields__}
    return {
        name: value._asdict() if isinstance(value, Estimate) else value
        for name, value in values.items()
    }

"""The closed loop: a driver sees the road, drives, and is put back on it where it leaves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.vision.driving.carracing.controls import Action, Controls, nearest_action
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.looks import PLAIN, look_named
from rl_abn.vision.driving.carracing.results import TrackResult, autonomy
from rl_abn.vision.driving.carracing.simulator import FPS, Simulator
from rl_abn.vision.driving.carracing.track import HALF_ROAD


class Decision(NamedTuple):
    """A driver's controls, with the attention behind them.

    Attributes:
        answer: Controls, or one of the five actions.
        attention: Whatever observers are to be shown of it.
    """

    answer: Controls | Action | int
    attention: Any = None


Driver: TypeAlias = Callable[
    [UInt8[np.ndarray, "96 96 3"], float], Controls | Action | int | Decision
]
"""Sees a picture and the speed in the simulator's units a second; the picture is the log's."""


@dataclass(frozen=True)
class Rules:
    """How a drive goes.

    Attributes:
        max_steps: It ends after so many steps, of which 50 are a second; CarRacing-v3's own limit.
        off_road_s: An intervention comes after so long off the road without a break. None is never:
            what is scored then is the plain environment, and autonomy says nothing.
        penalty_s: How long an intervention is taken to last (Bojarski et al., arXiv 1604.07316).
        restart_speed: Of a car that was put back, in the simulator's units a second.
        five_actions: Whether controls are driven as `nearest_action` of them.
        look: What drivers see of the world, a name in `LOOKS`.
    """

    max_steps: int = 1000
    off_road_s: float | None = 1.0
    penalty_s: float = 6.0
    restart_speed: float = 15.0
    five_actions: bool = False
    look: str = PLAIN

    def __post_init__(self) -> None:
        look_named(self.look)  # says that there is none
        if self.max_steps < 1:
            raise RlAbnError(f"expected max_steps of at least 1, got {self.max_steps}")
        for name in ("off_road_s", "penalty_s", "restart_speed"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise RlAbnError(f"expected {name} of at least 0, got {value}")


class DriveStep(NamedTuple):
    """One step, as it was decided: the picture before the controls, and what came of them.

    Attributes:
        track: Which track, by Gymnasium's seed.
        t: Steps before this one.
        frame: What the driver saw, uint8 [96, 96, 3].
        screen: The same view larger and with its indicators, uint8 [400, 600, 3]; None unless it
            was asked for.
        speed: In the simulator's units a second.
        controls: What the car did.
        action: The same as one of the five, if it was.
        attention: What the driver's decision had to show.
        score: The environment's, after the step.
        completed: Share of the tiles after the step, 0..1.
        off_road: Whether the car's centre was beyond the edge of the road after the step.
        intervention: Whether the car was put back, or lost, after the step.
        last: Whether the drive ended with it.
    """

    track: int
    t: int
    frame: np.ndarray
    screen: np.ndarray | None
    speed: float
    controls: Controls
    action: Action | None
    attention: Any
    score: float
    completed: float
    off_road: bool
    intervention: bool
    last: bool


class Observer(Protocol):
    """Watches drives: a recorder, a log."""

    def on_step(self, step: DriveStep) -> None:
        """Takes one step."""


class Referee:
    """Watches how far a car is from the middle of the road.

    Args:
        off_road_s: An intervention comes after so long off the road; None is never.

    Attributes:
        off_road: Whether the car's centre is beyond the edge of the road.
        n_off_road: Steps in which it was.
        n_interventions: How often the car had to be put back, or was lost.
    """

    def __init__(self, off_road_s: float | None) -> None:
        self.off_road = False
        self.n_off_road = self.n_interventions = 0
        self._patience = None if off_road_s is None else max(round(off_road_s * FPS), 1)
        self._on_end = 0

    def judge(self, offset: float, lost: bool = False) -> bool:
        """Says whether this step is one too many.

        Args:
            offset: The car's distance from the centre line.
            lost: Whether it left the playing field.
        """
        self.off_road = abs(offset) > HALF_ROAD
        self.n_off_road += self.off_road
        self._on_end = self._on_end + 1 if self.off_road else 0
        if not lost and self._on_end != self._patience:
            return False
        self._on_end = 0
        self.n_interventions += 1
        return True


def drive(
    driver: Driver | Expert,
    tracks: Sequence[int],
    rules: Rules = Rules(),
    *,
    observers: Sequence[Observer] = (),
    screens: bool = False,
    simulator: Simulator | None = None,
    report: ProgressReport | None = None,
) -> list[TrackResult]:
    """Drives one track after another.

    A car whose centre has been beyond the edge of the road for a set time is put back on the centre
    line: at the nearest point of the part it came along, pointing along it, at low speed. A driver
    that stands still on the road needs nobody, so read autonomy beside the share completed.

    Args:
        driver: A function of picture and speed, or the expert, who sees neither.
        tracks: Which tracks, by Gymnasium's seeds.
        rules: How a drive goes.
        observers: Who watches.
        screens: Whether observers are shown large pictures too.
        simulator: Which car; None is a new one.
        report: Shows how far it is, in tracks.

    Raises:
        RlAbnError: If Box2D is missing, or the driver answers with something that is no answer.
    """
    simulator = simulator or Simulator()
    results: list[TrackResult] = []
    for done, track in enumerate(tracks):
        results.append(_drive_track(driver, track, rules, observers, screens, simulator))
        if report is not None:
            scores = [result.score for result in results]
            report.update(done + 1, mean_score=f"{np.mean(scores):.0f}")
    return results


def _drive_track(
    driver: Driver | Expert,
    track: int,
    rules: Rules,
    observers: Sequence[Observer],
    screens: bool,
    simulator: Simulator,
) -> TrackResult:
    simulator.begin(track)
    look = look_named(rules.look)
    referee = Referee(rules.off_road_s)
    score, completed, t = 0.0, 0.0, 0
    while True:
        # Drawing takes far longer than driving, and the expert looks at no picture.
        seen = not isinstance(driver, Expert) or bool(observers)
        frame = look(simulator.frame(), track, t) if seen else None
        screen = look(simulator.screen(), track, t) if screens and observers else None
        speed = simulator.speed
        if isinstance(driver, Expert):
            decision = Decision(driver.answer(simulator.state, simulator.line))
        else:
            assert frame is not None
            answer = driver(frame, speed)
            decision = answer if isinstance(answer, Decision) else Decision(answer)
        controls, action = _settle(decision.answer, rules.five_actions)
        outcome = simulator.step(controls)
        score, completed = score + outcome.reward, simulator.completed
        t += 1
        intervention = referee.judge(simulator.state.position.offset, outcome.lost)
        last = outcome.finished or outcome.lost or t == rules.max_steps
        for observer in observers:
            assert frame is not None
            step = DriveStep(
                track=track,
                t=t - 1,
                frame=frame,
                screen=screen,
                speed=speed,
                controls=controls,
                action=action,
                attention=decision.attention,
                score=score,
                completed=completed,
                off_road=referee.off_road,
                intervention=intervention,
                last=last,
            )
            observer.on_step(step)
        if last:
            break
        if intervention:
            simulator.put(simulator.state.position.station, speed=rules.restart_speed)
    return TrackResult(
        track=track,
        score=score,
        completed=completed,
        finished=outcome.finished,
        lost=outcome.lost,
        n_interventions=referee.n_interventions,
        driven_s=t / FPS,
        off_road_s=referee.n_off_road / FPS,
        autonomy=autonomy(referee.n_interventions, t / FPS, rules.penalty_s),
    )


def _settle(answer: Controls | Action | int, five_actions: bool) -> tuple[Controls, Action | None]:
    """Turns an answer into what the car does; the action where it is one."""
    if isinstance(answer, int | np.integer):
        if answer not in list(Action):
            raise RlAbnError(f"expected one of CarRacing's actions, 0 to 4, got {answer}")
        return Action(answer).controls, Action(answer)
    if not all(map(math.isfinite, answer)):
        raise RlAbnError(f"expected finite controls of the driver, got {tuple(map(float, answer))}")
    steering, throttle, brake = (float(value) for value in answer)
    controls = Controls(
        min(max(steering, -1.0), 1.0), min(max(throttle, 0.0), 1.0), min(max(brake, 0.0), 1.0)
    )
    if not five_actions:
        return controls, None
    action = nearest_action(controls)
    return action.controls, action

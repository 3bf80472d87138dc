"""Does what a campaign asks for, as far as the time goes; whoever goes on does the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.campaign.agents import export_agents
from rl_abn.campaign.bundles import bundles
from rl_abn.campaign.measurements import (
    check_agreement,
    disagreements,
    is_checked,
    is_measured,
    measure_speed,
)
from rl_abn.campaign.pack import Packed, pack
from rl_abn.campaign.recipe import BenchTable, CampaignRecipe
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.sweep.board import Board
from rl_abn.sweep.drive import Outcome, check_done, drive
from rl_abn.sweep.engines import make_engine
from rl_abn.sweep.plan import Plan, make_plan
from rl_abn.sweep.recipe import SweepRecipe
from rl_abn.sweep.report.report import make_report, write_report
from rl_abn.sweep.report.tables import report_text
from rl_abn.sweep.status import read_status
from rl_abn.sweep.unit import is_trained

WORK_SHARE = 0.9
"""Of a limited time; the rest is for saving, reports and packing."""
REHEARSED_STEPS = 2048
_SHORTEST_S = 5.0  # less time than that is not worth the start of a training


class Piece(NamedTuple):
    """What is done of one part of a campaign.

    Attributes:
        name: What it is called.
        done: How much of it is done.
        total: How much there is.
    """

    name: str
    done: int
    total: int


class Done(NamedTuple):
    """How a call ended.

    Attributes:
        pieces: All parts, in their order.
        failed: Why units and checks failed, by name.
        signal: The signal that ended it, or None.
        steps_left: Agent steps that are still to be trained.
        sps: Agent steps a second in this call, of all trainings together; None where none trained.
        time_up: Whether the time ended before the work.
        packed: What was packed.
    """

    pieces: tuple[Piece, ...]
    failed: dict[str, str]
    signal: int | None
    steps_left: int
    sps: float | None
    time_up: bool
    packed: Packed

    @property
    def is_all(self) -> bool:
        """Whether nothing is left to do."""
        return all(piece.done >= piece.total for piece in self.pieces)


class Campaign:
    """A campaign in its folder.

    Args:
        file: Its TOML file.
        recipe: What that says.
        work: Its folder.
        device: Where the networks run; None is what the recipe says.
        workers: Trainings at a time; None is what the sweeps say.
        rehearse: Whether all of it is tried out tiny: one seed, 2,048 steps, two short games an
            evaluation, one round of measurements.

    Raises:
        RlAbnError: If a sweep is wrong or there is no such device.
    """

    def __init__(
        self,
        file: Path,
        recipe: CampaignRecipe,
        work: Path,
        *,
        device: str | None = None,
        workers: int | None = None,
        rehearse: bool = False,
    ) -> None:
        self.recipe, self.work = recipe, work
        self.device = device or recipe.device
        self._exact = device_of(self.device).type == "cpu"
        self._workers, self._rehearse = workers, rehearse
        self.plans = tuple(self._plans_of(file.parent / sweep) for sweep in recipe.sweeps)

    @property
    def benches(self) -> dict[Path, BenchTable]:
        """The measurements of speed, by the files they are kept in."""
        tiny = {"repeats": 1, "seconds": 1} if self._rehearse else {}
        return {
            self.work / f"bench-{name}.json": table.model_copy(update=tiny)
            for name, table in self.recipe.bench.items()
        }

    def run(self, out: Path, seconds: float, most_mb: float) -> Done:
        """Works until all is done or the time is up, then reports and packs.

        Args:
            out: Where the pack goes.
            seconds: The time.
            most_mb: Limit of the pack.

        Raises:
            RlAbnError: If a row, the device or a file is wrong.
        """
        begun = time.monotonic()
        ends_at = begun + WORK_SHARE * seconds
        for file, table in self.benches.items():
            if not is_measured(file, table):
                measure_speed(table, file, self.device, ends_at)
        for name, checks in self.recipe.agreement.items():
            check_agreement(checks, self._agreement_file(name), self.device, ends_at)
        failed = {
            f"agreement-{name}/{agent}": why
            for name, checks in self.recipe.agreement.items()
            for agent, why in disagreements(self._agreement_file(name), checks).items()
        }
        received, trained, took = None, 0, 0.0
        for plan in self._in_turn():
            if received is not None or (left := ends_at - time.monotonic()) < _SHORTEST_S:
                break
            before, at = self._steps(plan), time.monotonic()
            outcome = self._drive(plan, left)
            if (more := self._steps(plan) - before) > 0:
                trained, took = trained + more, took + time.monotonic() - at
            failed |= {f"{plan.name}/{name}": why for name, why in outcome.failed.items()}
            received = outcome.signal
        time_up = ends_at - time.monotonic() < _SHORTEST_S
        self._report()
        agents = export_agents([plan for plan, *_ in self.plans], self.work)
        packed = pack(bundles(self, agents), self.work, out, most_mb)
        return Done(
            pieces=tuple(self.pieces()),
            failed=failed,
            signal=received,
            steps_left=sum(
                max(unit.steps - read_status(plan.out / unit.name).step, 0)
                for plan, *_ in self.plans
                for unit in plan.units
            ),
            sps=trained / took if took else None,
            time_up=time_up,
            packed=packed,
        )

    def pieces(self) -> Iterator[Piece]:
        """Yields what is done of every part, in the order of their value."""
        for file, table in self.benches.items():
            yield Piece(file.stem, int(is_measured(file, table)), 1)
        for name, checks in self.recipe.agreement.items():
            file = self._agreement_file(name)
            yield Piece(file.stem, int(is_checked(file, checks)), 1)
        for plans in self.plans:
            first, units = plans[0], plans[0].units
            n = sum(_is_trained(first, i) for i in range(len(units)))
            yield Piece(f"{first.name} trainings", n, len(units))
            for plan in plans if first.recipe.eval is not None else ():
                evaluated = sum(check_done(plan, unit) for unit in plan.units)
                yield Piece(f"{first.name} evaluations ({_protocol(plan)})", evaluated, len(units))

    def _in_turn(self) -> Iterator[Plan]:
        """Yields what to drive: first what was trained and lacks an evaluation, then the rest.

        What is yielded is made when it is asked for, of what is trained by then.
        """
        for plans in self.plans:
            yield from self._lacking(plans)
            yield plans[0]
            yield from self._lacking(plans)

    @staticmethod
    def _lacking(plans: tuple[Plan, ...]) -> Iterator[Plan]:
        for plan in plans:
            units = tuple(unit for i, unit in enumerate(plan.units) if _is_trained(plan, i))
            if not all(check_done(plan, unit) for unit in units):
                yield plan._replace(units=units)

    def _drive(self, plan: Plan, seconds: float) -> Outcome:
        board = Board(plan.name, plan.units)
        return drive(plan, lambda: make_engine("local", plan, self._workers), board, seconds)

    def _report(self) -> None:
        for plans in self.plans:
            plans[0].write()  # whole, where a part of it was driven
            for plan in plans:
                with suppress(RlAbnError):  # nothing is trained yet
                    report = make_report(plan)
                    folder = self.work / "reports" / f"{plan.name}-{_protocol(plan)}"
                    write_report(report, folder, report_text(report))

    def _plans_of(self, file: Path) -> tuple[Plan, ...]:
        """Returns a sweep once for each protocol that its trainings are evaluated under."""
        return tuple(
            make_plan(file, self.work / file.stem, partial(self._changed, protocol))
            for protocol in self.recipe.protocols
        )

    def _changed(self, protocol: str, sweep: SweepRecipe) -> SweepRecipe:
        # A GPU does not promise the same bytes, so that there a training goes on from where it was.
        machine = sweep.machine.model_copy(update={"devices": (self.device,), "exact": self._exact})
        evaluation = sweep.eval and sweep.eval.model_copy(update={"protocol": protocol})
        changes: dict[str, Any] = {"machine": machine, "eval": evaluation}
        if self._rehearse:
            changes |= {"steps": REHEARSED_STEPS, "seeds": sweep.seeds[:1]}
            short = {"episodes": 2, "max_steps": 50}
            changes["eval"] = evaluation and evaluation.model_copy(update=short)
        return sweep.model_copy(update=changes)

    def _agreement_file(self, name: str) -> Path:
        return self.work / f"agreement-{name}.json"

    @staticmethod
    def _steps(plan: Plan) -> int:
        return sum(read_status(plan.out / unit.name).step for unit in plan.units)


def _is_trained(plan: Plan, i: int) -> bool:
    with suppress(RlAbnError):
        return is_trained(plan.units[i], plan.out / plan.units[i].name)
    return False


def _protocol(plan: Plan) -> str:
    return "plain" if plan.recipe.eval is None else str(plan.recipe.eval.protocol)

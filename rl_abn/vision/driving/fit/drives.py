"""The drives of a fit: who drives, over which tracks, each drive kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256

from rl_abn.errors import RlAbnError
from rl_abn.files.parts import Part, Parts
from rl_abn.progress import ProgressReport
from rl_abn.vision.data import tracks_driven
from rl_abn.vision.driving.carracing.drive import Rules
from rl_abn.vision.driving.carracing.results import TrackResult
from rl_abn.vision.driving.carracing.simulator import Simulator
from rl_abn.vision.driving.closed_loop import (
    DRIVEN_FROM,
    ClosedLoop,
    Contender,
    contenders_of,
    drive_all,
    track_of,
)
from rl_abn.vision.driving.fit.networks import Fitted
from rl_abn.vision.driving.fit.request import FitRequest


class Drives:
    """Drives of networks and the expert over the same tracks.

    Args:
        request: What is asked for.
        networks: Who drives; the maps of the first are changed too.
        parts: Where finished drives are kept.

    Attributes:
        contenders: Who drives: the first network, with its maps changed, the others, the expert.
        simulator: The car.
        tracks: Which, by Gymnasium's seeds.
        rules: How drives go.

    Raises:
        RlAbnError: If a network cannot drive here: Box2D is missing, its log is of another world,
            or its outputs or pictures are no driver's of CarRacing.
    """

    def __init__(self, request: FitRequest, networks: Sequence[Fitted], parts: Parts) -> None:
        if not tracks_driven(request.log, track_of):
            raise RlAbnError(
                f"{request.log} shows no track of CarRacing-v3, the only simulator there is here: "
                "nothing in it would look like what these networks learned from"
            )
        self.contenders = contenders_of(
            [fitted.run for fitted in networks],
            interventions=request.interventions,
            device=request.device,
        )
        self.simulator = Simulator()
        self.tracks = range(DRIVEN_FROM, DRIVEN_FROM + request.tracks)
        self.rules = Rules(max_steps=request.max_steps or Rules.max_steps, look=request.look)
        self._parts = parts
        self._weights = {str(fitted.run.path): fitted.weights for fitted in networks}

    @property
    def n_drives(self) -> int:
        """How many there are to be."""
        return len(self.tracks) * len(self.contenders)

    @property
    def n_kept(self) -> int:
        """How many of them are kept already."""
        names = (self._name(one, track) for one in self.contenders for track in self.tracks)
        return sum((self._parts.folder / f"{name}.npz").is_file() for name in names)

    def drive(self, report: ProgressReport) -> ClosedLoop:
        """Drives what is not kept. A Ctrl-C ends it after the last whole track.

        Args:
            report: Shows how far it is, in drives.

        Raises:
            KeyboardInterrupt: If there is no whole track yet.
        """
        return drive_all(
            self.contenders,
            list(self.tracks),
            self.rules,
            simulator=self.simulator,
            report=report,
            keep=self._kept,
        )

    def _kept(
        self, contender: Contender, track: int, drive: Callable[[], TrackResult]
    ) -> TrackResult:
        part = self._parts.do(
            self._name(contender, track),
            lambda: Part(asdict(drive()), {}),
            who=self._who(contender),
            rules=asdict(self.rules),
        )
        return TrackResult(**part.result)

    def _name(self, contender: Contender, track: int) -> str:
        said = f"{self._who(contender)} {self.rules}"
        return f"drive-{sha256(said.encode()).hexdigest()[:12]}-track-{track}"

    def _who(self, contender: Contender) -> list[str | bool | None]:
        weights = None if contender.run is None else self._weights[contender.run]
        return [weights, contender.intervention, contender.five_actions]

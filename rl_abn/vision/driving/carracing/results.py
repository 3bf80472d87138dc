"""What a closed-loop drive is worth: score, share of the track, autonomy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean


@dataclass(frozen=True)
class TrackResult:
    """One drive.

    Attributes:
        track: Which, by Gymnasium's seed.
        score: Sum of the environment's rewards. With interventions it is higher than the driver
            would get alone.
        completed: Share of the track's tiles a wheel touched, 0..1.
        finished: Whether the lap was done in time.
        lost: Whether the car left the playing field, which ends a drive.
        n_interventions: How often the car was put back, or lost.
        driven_s: Simulated seconds.
        off_road_s: How many of them the car's centre was beyond the edge of the road.
        autonomy: See `autonomy`.
    """

    track: int
    score: float
    completed: float
    finished: bool
    lost: bool
    n_interventions: int
    driven_s: float
    off_road_s: float
    autonomy: float


@dataclass(frozen=True)
class Summary:
    """Drives over several tracks.

    Attributes:
        n_tracks: How many.
        score: The environment's.
        completed: Share of the tiles, 0..1.
        autonomy: Share of the time without an intervention, 0..1.
        n_interventions: In all.
        n_finished: Laps done in time.
    """

    n_tracks: int
    score: Estimate
    completed: Estimate
    autonomy: Estimate
    n_interventions: int
    n_finished: int


def autonomy(n_interventions: int, driven_s: float, penalty_s: float) -> float:
    """Returns the share of the time that the driver drove alone, 0..1.

    Every intervention is taken to last `penalty_s`, in which a person would take over, drive back
    and let go again (Bojarski et al., arXiv 1604.07316: six seconds). Simulated, it takes no time,
    so the whole is the driven time and the interventions': unlike their quotient, which has only
    the driven time below, it cannot fall under 0, and for few interventions the two agree.
    """
    whole = driven_s + n_interventions * penalty_s
    return driven_s / whole if whole else 1.0


def summarise(results: Sequence[TrackResult], seed: int = 0) -> Summary:
    """Averages over tracks.

    Args:
        results: One a track.
        seed: Of the bootstrap.

    Raises:
        RlAbnError: If there are none.
    """
    if not results:
        raise RlAbnError("expected the drives of at least one track, got none")

    def over_tracks(value: Callable[[TrackResult], float]) -> Estimate:
        return mean(np.array([value(result) for result in results]), seed)

    return Summary(
        n_tracks=len(results),
        score=over_tracks(lambda result: result.score),
        completed=over_tracks(lambda result: result.completed),
        autonomy=over_tracks(lambda result: result.autonomy),
        n_interventions=sum(result.n_interventions for result in results),
        n_finished=sum(result.finished for result in results),
    )


def difference(
    results: Sequence[TrackResult], others: Sequence[TrackResult], seed: int = 0
) -> Estimate:
    """Returns how much higher one driver's mean score is than another's on the same tracks.

    Args:
        results: One a track.
        others: The other driver's, in the same order.
        seed: Of the bootstrap, which draws tracks: a hard one is hard for both.

    Raises:
        RlAbnError: If there are no tracks, or not the same.
    """
    tracks = [result.track for result in results]
    if not tracks or tracks != [other.track for other in others]:
        raise RlAbnError(f"expected drives over the same tracks, got {len(tracks)} and others")
    pairs = zip(results, others, strict=True)
    return mean(np.array([result.score - other.score for result, other in pairs]), seed)

"""The log of a fit: the expert's drives, recorded where no other log is given."""

from __future__ import annotations

from rl_abn.progress import ProgressReport
from rl_abn.vision.driving.carracing.recording import Recording, is_recorded, record_log
from rl_abn.vision.driving.closed_loop import LEARNED_FROM
from rl_abn.vision.driving.fit.request import FitRequest


def has_log(request: FitRequest) -> bool:
    """Says whether the log is there: somebody's, or the expert's on all of its tracks.

    Raises:
        RlAbnError: If the expert's was recorded otherwise.
    """
    return request.data is not None or is_recorded(
        request.log, _tracks(request), _recording(request)
    )


def record(request: FitRequest, report: ProgressReport) -> None:
    """Lets the expert drive and records it; a log that was cut off is gone on with.

    Args:
        request: What is asked for.
        report: Shows how far it is, in tracks.

    Raises:
        RlAbnError: If Box2D is missing or the log cannot be written.
    """
    record_log(request.log, _tracks(request), _recording(request), go_on=True, report=report)


def _tracks(request: FitRequest) -> range:
    return range(LEARNED_FROM, LEARNED_FROM + request.log_tracks)


def _recording(request: FitRequest) -> Recording:
    return Recording(max_steps=request.max_steps or Recording.max_steps, look=request.look)

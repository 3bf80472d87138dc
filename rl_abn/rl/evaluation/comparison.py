"""Videos of several agents, checkpoints, interventions or recorded episodes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.record import Episode, is_episode
from rl_abn.record.video import MOST_CELLS, EpisodeVideo, write_video
from rl_abn.render import Scale
from rl_abn.rl.evaluation.interventions import InterventionSpec, read_interventions
from rl_abn.rl.evaluation.map_player import names_of
from rl_abn.rl.evaluation.record import record_run
from rl_abn.rl.evaluation.replay import Replay
from rl_abn.runs import CheckpointChoice, Run

INTACT = "none"
"""Among interventions, the name of the agent's own maps."""


class Shown(NamedTuple):
    """One cell of a video: a recorded episode, or a game that a run's agent is to play.

    Attributes:
        source: The episode, or the run.
        checkpoint: Of the run.
        intervention: On the agent's maps; None leaves it intact.
        map_name: A map to show in place of the agent's own; None is its own.
    """

    source: Episode | Run
    checkpoint: CheckpointChoice = None
    intervention: InterventionSpec | None = None
    map_name: str | None = None


def read_shown(
    paths: Sequence[Path],
    checkpoints: Sequence[CheckpointChoice] = (),
    interventions: Sequence[str] = (),
    maps: Sequence[str] = (),
    *,
    evidence: bool = False,
) -> list[Shown]:
    """Returns what to show, in the order of the paths, then checkpoints, then interventions.

    Args:
        paths: Run and episode folders.
        checkpoints: Of each run; none is the newest.
        interventions: On each run's maps, as on the command line, or `INTACT`; none is that alone.
        maps: Names of maps to show of each run, of `LIVE_MAPS`, or `OWN`; none is that alone.
        evidence: Whether the evidence for each action is to be shown.

    Raises:
        RlAbnError: If a path is neither, a name is unknown, an agent states no evidence that is to
            be shown, or there is too much to show.
    """
    shown: list[Shown] = []
    map_names = names_of(maps)
    for path in paths:
        if is_episode(path):
            if checkpoints or interventions or maps:
                raise RlAbnError(
                    "expected runs alone for --checkpoint, --intervention and --map, got "
                    f"'{path}', an episode, which is played already"
                )
            shown.append(Shown(Episode(path)))
            continue
        run = Run.open(path)
        if evidence and not run.recipe.agent.states_evidence:
            raise RlAbnError(
                "expected an agent that states evidence for --evidence, got "
                f"'{run.recipe.agent_name}', which has no attention branch that answers"
            )
        specs: list[InterventionSpec | None] = []
        for label in interventions or (INTACT,):
            if label == INTACT:
                specs.append(None)
            else:
                specs += read_interventions([label], run.recipe.agent_name, run.recipe.agent)
        shown += [Shown(run, *how) for how in product(checkpoints or (None,), specs, map_names)]
    if len(shown) > MOST_CELLS:
        raise RlAbnError(f"expected at most {MOST_CELLS} games side by side, got {len(shown)}")
    return shown


def episodes_of(
    shown: Sequence[Shown],
    folder: Path,
    *,
    greedy: bool = False,
    keep: Sequence[str] = (),
    max_steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> list[Episode]:
    """Returns the episodes to show; those of runs are played from one seed and recorded first.

    Args:
        shown: What to show.
        folder: Where they are recorded, in a folder each.
        greedy: Whether agents take the most probable actions.
        keep: What of `KEEP` is kept at every step.
        max_steps: Steps of each game; None is the whole game.
        seed: Of the game and of the sampled actions.
        device: Where the networks run.
        report: Progress display.

    Raises:
        RlAbnError: If a checkpoint cannot be used.
    """
    episodes = []
    for i, (source, checkpoint, intervention, map_name) in enumerate(shown):
        if isinstance(source, Episode):
            episodes.append(source)
            continue
        games = record_run(
            source,
            out=folder / f"{i}",
            intervention=intervention,
            map_name=map_name,
            greedy=greedy,
            max_steps=max_steps,
            keep=keep,
            step=checkpoint,
            seed=seed,
            device=device,
            report=report,
        )
        episodes.append(Episode(next(games).path))
    return episodes


def titles_of(episodes: Sequence[Episode], shown: Sequence[Shown]) -> list[str]:
    """Returns titles that tell episodes side by side apart; a single one has its own."""
    if len(episodes) == 1:
        return [episodes[0].meta.title]
    return [
        _title(episode, what.source if isinstance(what.source, Run) else None)
        for episode, what in zip(episodes, shown, strict=True)
    ]


def write_shown(
    path: Path,
    shown: Sequence[Shown],
    episodes: Sequence[Episode],
    *,
    fps: int | None = None,
    scale: Scale = "fixed",
    evidence: bool = False,
    max_steps: int | None = None,
    report: ProgressReport | None = None,
) -> EpisodeVideo:
    """Writes the video of episodes as `episodes_of` returned them.

    Args:
        path: The video.
        shown: What is shown.
        episodes: The same as episodes.
        fps: Frames per second: those of the steps, or of the emulator, which then plays the games
            again to show the frames that the agent skips. None is the steps'.
        scale: "fixed" shows map values as they are, "frame" stretches each map to its own range.
        evidence: Whether the evidence for each action is shown.
        max_steps: Shows at most this many steps.
        report: Progress display.

    Raises:
        RlAbnError: If there are no such frames per second, an episode has not what is shown, or
            the video cannot be written.
    """
    meta = episodes[0].meta
    every, skipping = meta.fps * meta.frames_per_step, meta.fps
    if fps is not None and fps not in (every, skipping):
        raise RlAbnError(
            f"expected --fps {skipping:g}"
            + (f" or {every:g}, with the skipped frames" if every != skipping else "")
            + f", got {fps}"
        )
    skipped = None
    if fps == every and every != skipping:
        skipped = [Replay(episode).skipped_frames(max_steps) for episode in episodes]
    return write_video(
        path,
        episodes,
        titles=titles_of(episodes, shown),
        skipped_frames=skipped,
        scale=scale,
        evidence=evidence,
        max_steps=max_steps,
        report=report,
    )


def _title(episode: Episode, run: Run | None) -> str:
    """Returns the run's last folders, the checkpoint and the intervention."""
    agent = episode.meta.source.get("agent")
    agent = agent if isinstance(agent, dict) else {}
    folder = run.path if run is not None else Path(str(agent.get("run", episode.path))[:4096])
    changed = agent.get("intervention")
    parts = ["/".join(folder.parts[-2:])]
    if isinstance(agent.get("trained"), str):
        parts.append(agent["trained"][:60])
    if agent.get("greedy") is True:
        parts.append("greedy")
    parts.append("own maps" if changed is None else f"maps: {str(changed)[:40]}")
    if isinstance(agent.get("map"), str):
        shown = agent["map"][:40].replace("_", " ")
        parts[-1] = shown if changed is None else f"{parts[-1]}, shown: {shown}"
    return "".join(c for c in ", ".join(parts) if c.isprintable())

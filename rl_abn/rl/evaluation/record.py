"""Records games of a run into episode folders."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, printable
from rl_abn.files.text import kind_of
from rl_abn.progress import ProgressReport
from rl_abn.record import is_episode
from rl_abn.rl.envs.make import AnyProtocol, make_single_env
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.map_player import MapPlayer, player_of
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.recording import (
    EpisodeRecordingPlayer,
    GameRecorder,
    RecordedGame,
    episode_meta,
    record_game,
)
from rl_abn.rl.evaluation.title import name_of_game, title_of
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.runs.shipped import own_run
from rl_abn.seeds import Stream, derive_seeds
from rl_abn.stop_signal import StopSignal

EPISODES = "episodes"
IfThere = Literal["new", "overwrite"]
_OURS = re.compile(
    r"meta\.json|frames/\d+\.png|trace/\d+\.safetensors|states/\d+\.z|[^/]+\.mp4"
    r"|(.*/)?\.[^/]*\.partial(\.[^/]*)?|(.*/)?(\.DS_Store|Thumbs\.db|\.nfs[0-9a-f]+)"
)

_BEGUN = re.compile(r"states(/\d+\.z)?|(states/)?\.[^/]*\.partial(\.[^/]*)?")


def record_run(
    run: Run,
    *,
    episodes: int = 1,
    out: Path | None = None,
    on_exists: IfThere | None = None,
    intervention: InterventionSpec | None = None,
    map_name: str | None = None,
    greedy: bool = False,
    max_steps: int | None = None,
    keep: Collection[str] = (),
    step: CheckpointChoice = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Iterator[RecordedGame]:
    """Plays games under the training protocol and records them, one after the other.

    Game i is that of `seed` + i: the one that `watch_game` shows with that seed.

    Args:
        run: Whose agent.
        episodes: How many games.
        out: Where the episode folders go; None is episodes/ in the run folder.
        on_exists: Where an episode is already: "new" makes one beside it, "overwrite" removes it.
        intervention: On the agent's maps; None leaves it intact.
        map_name: A map to show in place of the agent's own, of `LIVE_MAPS`; None is its own.
        greedy: Whether the agent takes the most probable actions.
        max_steps: Records at most this many steps of each game.
        keep: What of `KEEP` is kept at every step beside all else.
        step: The checkpoint's step, or "best"; None is the newest.
        seed: Of the first game and of its sampled actions.
        device: Where the network runs.
        report: Progress display; it counts steps where there is a `max_steps`, else games.

    Yields:
        Each game when it is recorded.

    Raises:
        RlAbnError: If the checkpoint cannot be used, or an episode is there already.
    """
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    folder = out or own_run(run.path) / EPISODES
    label = None if intervention is None else intervention.label
    seeds, maps = range(seed, seed + episodes), (label, map_name)
    targets = [
        folder / name_of_game([checkpoint.step], s, maps, greedy=greedy, max_steps=max_steps)
        for s in seeds
    ]
    for target in targets:
        check_free_episode(target, on_exists)
    counts_games = max_steps is None
    done = 0
    for game, target in zip(seeds, targets, strict=True):
        recorded = record_policy(
            run,
            policy,
            checkpoint.step,
            free_episode(target, on_exists),
            intervention=intervention,
            map_name=map_name,
            greedy=greedy,
            max_steps=max_steps,
            keep=keep,
            seed=game,
            report=report,
            done_before=done,
            counts_games=counts_games,
        )
        done += 1 if counts_games else recorded.n_steps
        if report is not None and counts_games:
            report.update(done, step=f"{recorded.n_steps:,}", score=f"{recorded.score:.0f}")
        yield recorded


def record_policy(
    run: Run,
    policy: AttentionPolicy,
    step: int,
    folder: Path,
    *,
    seed: int,
    intervention: InterventionSpec | None = None,
    map_name: str | None = None,
    greedy: bool = False,
    max_steps: int | None = None,
    keep: Collection[str] = (),
    report: ProgressReport | None = None,
    done_before: int = 0,
    counts_games: bool = False,
    stop: StopSignal | None = None,
) -> RecordedGame:
    """Plays one game with a policy in evaluation mode and records it into a new folder.

    Args:
        run: Whose policy it is.
        policy: The policy.
        step: Agent steps it was trained for.
        folder: The episode folder.
        seed: Of the game and of the sampled actions.
        intervention: As in `record_run`.
        map_name: As in `record_run`.
        greedy: As in `record_run`.
        max_steps: As in `record_run`.
        keep: As in `record_run`.
        report: Progress display.
        done_before: Units already counted in the report.
        counts_games: Whether the report counts games; else steps.
        stop: Ends the recording where a signal comes.

    Raises:
        RlAbnError: If the folder is taken or cannot be written.
    """
    protocol = training_protocol(run.recipe)
    env = make_single_env(run.recipe.env, protocol)
    channels = (policy.observation_space.shape or (1,))[0]
    agent = player_of(
        run.recipe.agent_name,
        policy,
        map_name,
        newest=channels // max(1, getattr(protocol, "frame_stack", 1)),
        greedy=greedy,
        seed=seed,
        intervention=None if intervention is None else intervention.make(policy, seed),
    )
    meta = episode_meta(
        run,
        policy,
        step,
        env,
        protocol=protocol,
        protocol_name=run.recipe.protocol_name,
        game_seed=int(derive_seeds(seed, Stream.VIDEO, count=1)[0]),
        player={
            "greedy": greedy,
            "seed": seed,
            "intervention": None if intervention is None else intervention.label,
            **({} if map_name is None else {"map": map_name}),
        },
    )
    if isinstance(agent, MapPlayer):
        rows, columns = agent.map_size
        label = meta.source["agent"]["intervention"]
        meta = replace(
            meta,
            title=title_of(run, step, label, map_name, greedy=greedy),
            map_names=agent.map_names,
            even_factor=rows * columns,
            map_places=None,
            scale="even",
        )
    return record_game(
        agent,
        env,
        folder,
        meta,
        max_steps=max_steps,
        keep=keep,
        report=report,
        done_before=done_before,
        counts_games=counts_games,
        stop=stop,
    )


def record_games(
    run: Run,
    agent: AgentPlayer,
    step: int,
    protocol: AnyProtocol,
    protocol_name: str,
    stem: str,
    seeds: np.ndarray,
) -> EpisodeRecordingPlayer:
    """Returns an agent that records its first game in some of the environments it plays in.

    The episodes go to episodes/ in the run folder, over those of the same name.

    Args:
        run: Whose agent.
        agent: The agent, before its first step.
        step: The checkpoint's step.
        protocol: How the games are played.
        protocol_name: Its name.
        stem: First words of the episodes' names.
        seeds: Of the emulators, one an environment.

    Raises:
        RlAbnError: If an episode's place is taken by something else.
    """
    recorders, episodes = [], own_run(run.path) / EPISODES
    for i, seed in enumerate(seeds):
        env = make_single_env(run.recipe.env, protocol)
        meta = episode_meta(
            run,
            agent.policy,
            step,
            env,
            protocol=protocol,
            protocol_name=protocol_name,
            game_seed=int(seed),
            player={"greedy": agent.greedy, "seed": None, "intervention": None},
        )
        folder = free_episode(episodes / f"{stem}-game-{i + 1}", "overwrite")
        recorders.append(GameRecorder(folder, meta, env))
    return EpisodeRecordingPlayer(agent, agent, recorders)


def check_free_episode(folder: Path, on_exists: IfThere | None) -> None:
    """Refuses a folder that is taken where nothing says what to do; before any work is done.

    Raises:
        RlAbnError: If it is, or is to be overwritten and holds more than an episode.
    """
    if not _is_taken(folder) or on_exists == "new":
        return
    if on_exists is None:
        raise RlAbnError(
            f"expected a new episode folder, got '{folder}', which exists; "
            "add --on-exists new or overwrite"
        )
    if not is_episode(folder) and not _is_begun(folder):
        raise RlAbnError(f"expected an episode to overwrite, got '{folder}', which is none")
    foreign = [name for name in _files(folder) if _OURS.fullmatch(name) is None]
    if foreign:
        raise RlAbnError(
            f"{folder}: expected only what an episode consists of, as overwriting removes it, got "
            f"'{printable(min(foreign))}'; move that, or use --on-exists new"
        )


def free_episode(folder: Path, on_exists: IfThere | None) -> Path:
    """Returns a folder that is free for an episode.

    Args:
        folder: Where it should go.
        on_exists: "new" finds a free name beside it, "overwrite" removes the episode that is there.

    Raises:
        RlAbnError: As `check_free_episode`, or if what is there cannot be removed.
    """
    check_free_episode(folder, on_exists)
    if not _is_taken(folder):
        return folder
    if on_exists == "new":
        numbers = (folder.with_name(f"{folder.name}-{i}") for i in range(2, 10_000))
        return next(path for path in numbers if not _is_taken(path))
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be removed: {error.strerror}") from None
    return folder


def _is_taken(folder: Path) -> bool:
    kind = kind_of(folder)
    return kind == "a file" or (kind == "a folder" and any(folder.iterdir()))


def _is_begun(folder: Path) -> bool:
    """Whether a folder has only what a recording leaves that is stopped before its first step."""
    if not folder.is_dir():
        return False
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return all(_BEGUN.fullmatch(name) for name in names)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()

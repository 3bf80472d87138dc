"""`rl-abn watch`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_checkpoint,
    add_device,
    add_greedy,
    add_interventions,
    add_map,
    add_max_steps,
    add_seed,
    one_of,
    whole_number,
)
from rl_abn.errors import RlAbnError

if TYPE_CHECKING:
    from rl_abn.rl.evaluation.comparison import Shown
    from rl_abn.runs import Run

_OF_TRAINING = ("--over-training", "--out", "--scale", "--")


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "watch",
        help="make an attention video",
        description="Record a game beside its maps, or how the maps formed over training.\n"
        "Several runs, checkpoints, interventions or episodes are shown side by side, on one seed.",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folder, shipped agent (see 'rl-abn recipes'), or an episode that 'rl-abn record' "
        "made; several are compared",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.mp4",
        help="video (default: in the run's videos/, in the episode's folder, or of several runs "
        "in this folder)",
    )
    parser.add_argument(
        "--over-training",
        action="store_true",
        help="show how the maps of fixed observations formed over training",
    )
    parser.add_argument(
        "--scale",
        type=one_of(("fixed", "frame")),
        default="fixed",
        metavar="WHAT",
        help="fixed shows map values 0..1 as they are; frame stretches every map to its own range",
    )
    parser.add_argument(
        "--fps",
        type=whole_number(1),
        metavar="N",
        help="frames per second: 60 shows the frames that the agent skips too (default: one a "
        "step)",
    )
    parser.add_argument(
        "--evidence", action="store_true", help="show what speaks for each action, and where"
    )
    add_greedy(parser)
    add_interventions(
        parser,
        "show the agent with its maps replaced, as eval does; none is the agent with its own maps, "
        "and several names are compared",
    )
    add_map(parser, several=True)
    add_max_steps(parser, "record at most this many steps (default: the whole game)")
    add_checkpoint(parser, several=True)
    add_seed(parser, "the game and the sampled actions")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Records the video and prints its path."""
    from rl_abn.record import is_episode
    from rl_abn.runs import Run
    from rl_abn.runs.shipped import own_run

    if arguments.over_training:
        _check_over_training(arguments.words)
    arguments.paths = [path if is_episode(path) else own_run(path) for path in arguments.paths]
    paths, checkpoints = arguments.paths, arguments.checkpoints
    if arguments.over_training:
        _watch_training(_only_run(paths), arguments)
        return
    is_plain = len(paths) == 1 and len(checkpoints) < 2 and not is_episode(paths[0])
    if is_plain and not (
        arguments.interventions or arguments.maps or arguments.fps or arguments.evidence
    ):
        _watch_game(Run.open(paths[0]), arguments)
    else:
        _watch_several(arguments)


def _watch_training(run: Run, arguments: argparse.Namespace) -> None:
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.watch import watch_training

    with ProgressReport("recording", None, "logging points") as report:
        video = watch_training(run, out=arguments.out, scale=arguments.scale, report=report)
    print(f"{video.n_frames:,} frames, {video.seconds:.0f} s: {command(video.path)}")
    words = ["tensorboard", "--logdir", str(run.path), "--samples_per_plugin", "images=1000"]
    print(f"next: {command(*words)}")


def _watch_game(run: Run, arguments: argparse.Namespace) -> None:
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.watch import watch_game

    with ProgressReport("recording", arguments.max_steps, "steps") as report:
        video = watch_game(
            run,
            out=arguments.out,
            scale=arguments.scale,
            greedy=arguments.greedy,
            max_steps=arguments.max_steps,
            step=arguments.checkpoints[0] if arguments.checkpoints else None,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    print(
        f"score {video.score:.0f}, {video.n_frames:,} frames, {video.seconds:.0f} s: "
        f"{command(video.path)}"
    )
    if not run.recipe.agent.attention.has_maps:
        print(f"next: {_eval_without_maps(run.path)}")
    elif run.is_imported:  # weights that come without the maps of their training
        print(f"next: {command('rl-abn', 'explain', run.path, '--quick')}")
    else:
        print(f"next: {command('rl-abn', 'watch', run.path, '--over-training')}")


def _watch_several(arguments: argparse.Namespace) -> None:
    """Shows episodes; those of runs are recorded first, into a folder that is removed."""
    from tempfile import TemporaryDirectory

    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.comparison import episodes_of, read_shown, write_shown

    shown = read_shown(
        arguments.paths,
        arguments.checkpoints,
        arguments.interventions,
        arguments.maps,
        evidence=arguments.evidence,
    )
    with TemporaryDirectory(prefix="rl-abn-") as folder:
        with ProgressReport("playing", None, "games") as report:
            episodes = episodes_of(
                shown,
                Path(folder),
                greedy=arguments.greedy,
                keep=["evidence"] if arguments.evidence else [],
                max_steps=arguments.max_steps,
                seed=arguments.seed,
                device=arguments.device,
                report=report,
            )
        n_steps = max(episode.n_steps for episode in episodes)
        n_shown = min(n_steps, arguments.max_steps or n_steps)
        path = arguments.out or _default_path(shown, arguments)
        with ProgressReport("drawing", n_shown, "steps") as report:
            video = write_shown(
                path,
                shown,
                episodes,
                fps=arguments.fps,
                scale=arguments.scale,
                evidence=arguments.evidence,
                max_steps=arguments.max_steps,
                report=report,
            )
    scores = ", ".join(f"{score:.0f}" for score in video.scores)
    print(
        f"score{'s' if len(shown) > 1 else ''} {scores}, {video.n_frames:,} frames, "
        f"{video.seconds:.0f} s: {command(video.path)}"
    )
    print(f"next: {_next(arguments.paths, shown)}")


def _next(paths: Sequence[Path], shown: Sequence[Shown]) -> str:
    """Returns what to type after the video of episodes or of a comparison."""
    from rl_abn.record import Episode

    first = shown[0].source
    if isinstance(first, Episode):
        if len(shown) == 1:
            skips = ["--fps", "60"] if first.meta.frames_per_step > 1 else []
            has_evidence = "evidence" in first.meta.arrays
            more = [*skips, "--evidence"] if has_evidence else skips
            return command("rl-abn", "watch", *paths, *more)
        return command("rl-abn", "watch", paths[0])
    if not first.recipe.agent.attention.has_maps:
        return _eval_without_maps(paths[0])
    return command("rl-abn", "eval", paths[0], "--intervention", "all")


def _eval_without_maps(path: Path) -> str:
    """Returns what to type after a video of an agent that has no maps to change."""
    return command("rl-abn", "eval", path, "--greedy")


def _default_path(shown: Sequence[Shown], arguments: argparse.Namespace) -> Path:
    from rl_abn.record import Episode
    from rl_abn.rl.evaluation.title import name_of_game
    from rl_abn.rl.evaluation.watch import drawn_on

    first, max_steps = shown[0].source, arguments.max_steps
    drawn = "" if arguments.fps is None else f"-{arguments.fps}-fps"
    drawn += ("-evidence" if arguments.evidence else "") + drawn_on(arguments.scale)
    if len(shown) == 1 and isinstance(first, Episode):
        cut = "" if max_steps is None else f"-cut-at-{max_steps}"
        return first.path / f"game{cut}{drawn}.mp4"
    name_with = partial(
        name_of_game, seed=arguments.seed, greedy=arguments.greedy, max_steps=max_steps
    )
    if len(arguments.paths) == 1 and not isinstance(first, Episode):
        steps = sorted({first.checkpoint(what.checkpoint).step for what in shown})
        maps = [what.intervention.label if what.intervention else "none" for what in shown]
        maps = list(dict.fromkeys(maps)) if arguments.interventions else []
        maps += list(dict.fromkeys(arguments.maps))
        name = name_with(steps, maps=maps) + drawn
        return first.path / "videos" / f"{name[:200]}.mp4"
    return Path(f"comparison-{name_with([])}{drawn}.mp4")


def _check_over_training(words: Sequence[str]) -> None:
    """Refuses options that a video of the training does not have."""
    options = (word.partition("=")[0] for word in words if word.startswith("--"))
    wrong = next((option for option in options if option not in _OF_TRAINING), None)
    if wrong is not None:
        raise RlAbnError(f"expected --over-training with --out and --scale alone, got {wrong} too")


def _only_run(paths: Sequence[Path]) -> Run:
    from rl_abn.runs import Run

    if len(paths) > 1:
        raise RlAbnError(f"expected one run with --over-training, got {len(paths)}")
    return Run.open(paths[0])

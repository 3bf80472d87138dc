"""`rl-abn train`."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command, go_on
from rl_abn.cli.parser import (
    Subparsers,
    add_agent,
    add_device,
    add_env,
    add_seed,
    add_settings,
    add_training_folder,
    number,
    whole_number,
)
from rl_abn.errors import RlAbnError

if TYPE_CHECKING:
    from rl_abn.rl.training.distributed import Ranks
    from rl_abn.runs import Run


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train an agent",
        description="Train an agent into a run folder. Ctrl-C saves; --on-exists resume goes on.",
    )
    add_env(parser)
    add_agent(parser)
    parser.add_argument(
        "--steps",
        type=whole_number(1),
        metavar="N",
        help="agent steps, each 4 emulator frames (default: the recipe's train.steps)",
    )
    add_seed(parser, "everything random")
    add_training_folder(parser)
    parser.add_argument(
        "--teacher",
        metavar="RUN|ZIP",
        help="also learn from this agent: a run, a stable-baselines3 zip, or published weights of "
        "Mask-Attention A3C (--set teacher.coef=… and more)",
    )
    parser.add_argument(
        "--init",
        metavar="RUN|ZIP",
        help="begin with this agent's weights instead of random ones: a run, an agent that ships, "
        "or a file as of --teacher, with the same network",
    )
    parser.add_argument(
        "--edits",
        type=Path,
        metavar="DIR",
        help="train the agent's maps towards these edited maps of the run's probe observations "
        "(probe-0, …)",
    )
    parser.add_argument(
        "--edit-coef",
        type=number(0),
        metavar="G",
        help="weight of the distance to the maps of --edits (default: 1.0)",
    )
    parser.add_argument(
        "--eval-every",
        type=whole_number(0),
        metavar="N",
        help="evaluate every N agent steps on games of their own and keep the best checkpoint, "
        "0 never (default: the recipe's train.eval_every)",
    )
    parser.add_argument(
        "--wandb",
        metavar="PROJECT",
        help="show the curves in this project of Weights & Biases (pip install 'rl-abn[wandb]')",
    )
    add_settings(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Trains, and prints the run folder and the next command."""
    from rl_abn.compute.device import device_of
    from rl_abn.rl.training.distributed import Ranks

    if arguments.edit_coef is not None and arguments.edits is None:
        raise RlAbnError(
            "expected --edits DIR beside --edit-coef, which is the weight of these edits, got none"
        )
    settings = list(arguments.settings)
    if arguments.steps is not None:
        settings.append(f"train.steps={arguments.steps}")
    if arguments.keep is not None:
        settings.append(f"train.keep={arguments.keep}")
    if arguments.teacher is not None:
        settings.append(f"teacher.path={json.dumps(arguments.teacher)}")  # a text in TOML
    if arguments.init is not None:
        settings.append(f"init.path={json.dumps(arguments.init)}")
    if arguments.eval_every is not None:
        settings.append(f"train.eval_every={arguments.eval_every}")
    ranks = Ranks.of_environment()
    device = ranks.device(arguments.device)
    ranks.join(device_of(device))
    try:
        _train(arguments, settings, device, ranks)
    finally:
        ranks.leave()


def _train(arguments: argparse.Namespace, settings: list[str], device: str, ranks: Ranks) -> None:
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.training.train import prepare_run, train
    from rl_abn.runs.wandb_sync import check_wandb, wandb_sync

    if arguments.wandb is not None:
        check_wandb()
    edits = None
    if arguments.edits is not None:
        from rl_abn.map_editing.edit_files import read_edits

        edits = read_edits(arguments.edits)
    run, resume = ranks.broadcast(
        lambda: prepare_run(
            env=arguments.env,
            agent=arguments.agent,
            seed=arguments.seed,
            settings=settings,
            folder=arguments.out,
            on_exists=arguments.on_exists,
            device=device,
            ranks=ranks,
        )
    )
    if not ranks.is_main:
        train(run, resume=resume, device=device, ranks=ranks)
        return
    steps = run.recipe.agent.train.steps
    print(f"run folder: {command(run.path)}", flush=True)
    with (
        wandb_sync(run, arguments.wandb),
        ProgressReport(f"training {run.recipe.agent_name}", steps, "steps") as report,
    ):
        outcome = train(
            run,
            resume=resume,
            device=device,
            report=report,
            ranks=ranks,
            edits=edits,
            edit_coef=1.0 if arguments.edit_coef is None else arguments.edit_coef,
        )
    if outcome.signal is not None:
        is_saved = outcome.saved or outcome.step > 0
        if is_saved:
            saved = "saved" if outcome.saved else "nothing new to save"
            print(f"stopped at {outcome.step:,} of {steps:,} steps; {saved}. Go on with:")
        else:
            print("stopped before the first update; nothing is saved. Begin again with:")
        print(go_on(arguments, run.path, saved=is_saved))
        sys.exit(128 + outcome.signal)
    if run.recipe.agent.train.eval_every:
        _print_best(run)
    curves = command("tensorboard", "--logdir", run.path)
    print(f"trained {outcome.step:,} steps. Curves: {curves}")
    print(f"next: {command('rl-abn', 'eval', run.path)}")


def _print_best(run: Run) -> None:
    from rl_abn.runs.best import best_checkpoint, best_score

    with suppress(RlAbnError):  # somebody may have removed it
        best = best_checkpoint(run.path)
        print(
            f"best evaluation: mean score {best_score(run.path):.1f} at step {best.step:,} "
            "(--checkpoint best)"
        )

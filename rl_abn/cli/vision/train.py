"""`rl-abn vision train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rl_abn.cli.next_command import command, go_on
from rl_abn.cli.parser import (
    Subparsers,
    add_data,
    add_device,
    add_seed,
    add_settings,
    add_training_folder,
    whole_number,
)


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train a network on pictures or a drive",
        description="Train a network into a run folder. Ctrl-C saves; --on-exists resume goes on.",
    )
    parser.add_argument(
        "--env",
        required=True,
        metavar="RECIPE",
        help="data set: a name of 'rl-abn recipes vision', or a path",
    )
    parser.add_argument(
        "--agent",
        required=True,
        metavar="RECIPE",
        help="network: a name of 'rl-abn recipes vision', or a path",
    )
    add_data(
        parser, "where the data lies: a folder, a .zip or a .csv (resumed: where it lay before)"
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help="passes over the training pictures (default: the recipe's train.epochs)",
    )
    add_seed(parser, "everything random")
    add_training_folder(parser)
    add_settings(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Trains, and says where the run is and what to type next."""
    from rl_abn.errors import warn
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.training.prepare import n_batches, prepare_run
    from rl_abn.vision.training.train import train

    settings = list(arguments.settings)
    if arguments.epochs is not None:
        settings.append(f"train.epochs={arguments.epochs}")
    if arguments.keep is not None:
        settings.append(f"train.keep={arguments.keep}")
    run, data, resume = prepare_run(
        env=arguments.env,
        agent=arguments.agent,
        seed=arguments.seed,
        data=arguments.data,
        settings=settings,
        folder=arguments.out,
        on_exists=arguments.on_exists,
        device=arguments.device,
    )
    for note in data.notes:
        warn(note)
    epochs = run.recipe.agent.train.epochs
    print(f"run folder: {command(run.path)}")
    print(
        f"{len(data.train):,} pictures to learn from, {data.outputs.n_held_out:,} held out",
        flush=True,
    )
    start = 0 if not resume else n_batches(run, data) // epochs * _epochs_done(run.path)
    label = f"training {run.recipe.agent_name}"
    with ProgressReport(label, n_batches(run, data), "batches", start=start) as report:
        outcome = train(run, data, resume=resume, device=arguments.device, report=report)
    if outcome.signal is not None and outcome.step < epochs:
        is_saved = outcome.saved or outcome.step > 0
        if is_saved:
            saved = "saved" if outcome.saved else "nothing new to save"
            print(f"stopped after {outcome.step:,} of {epochs:,} epochs; {saved}. Go on with:")
        else:
            print("stopped before the first epoch was done; nothing is saved. Begin again with:")
        print(go_on(arguments, run.path, saved=is_saved))
        sys.exit(128 + outcome.signal)
    curves = command("tensorboard", "--logdir", run.path)
    print(f"trained {outcome.step:,} epochs. Curves: {curves}")
    for name, value in outcome.numbers.items():
        if name.startswith("held_out/") and "loss" not in name:
            print(f"  {name.removeprefix('held_out/').replace('_', ' ')}, held out: {value:.4f}")
    print(f"next: {command('rl-abn', 'vision', 'eval', run.path)}")


def _epochs_done(folder: Path) -> int:
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run

    found = Run.open(folder, VisionRunRecipe).checkpoints
    return found[-1].step if found else 0

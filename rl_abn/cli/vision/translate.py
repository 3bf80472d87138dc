"""`rl-abn vision translate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rl_abn.cli.next_command import command, go_on
from rl_abn.cli.parser import (
    Subparsers,
    add_device,
    add_run,
    add_seed,
    add_settings,
    add_training_folder,
    number,
    one_of,
    whole_number,
)

_DESCRIPTION = """\
Translate pictures between two domains, such as a simulator's and a camera's, by CycleGAN; a trained
network's attention maps stay as they were.

  rl-abn vision translate train --source DIR --target DIR --network RUN   trains a translator
  rl-abn vision translate apply RUN --data DIR --out DIR                  translates a data set"""


def add(commands: Subparsers) -> None:
    """Adds the command and its two parts."""
    parser = commands.add_parser(
        "translate", help="translate pictures between two domains", description=_DESCRIPTION
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(parts)
    _add_apply(parts)


def _add_train(parts: Subparsers) -> None:
    parser = parts.add_parser(
        "train",
        help="train a translator",
        description="Train a translator into a run folder. Ctrl-C saves; --on-exists resume goes "
        "on. Domains are driving logs or folders of pictures; their pictures are no pairs.",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="pictures of the domain that has the labels (resumed: where they lay before)",
    )
    parser.add_argument(
        "--target",
        type=Path,
        metavar="PATH",
        help="pictures of the domain to translate to (resumed: where they lay before)",
    )
    parser.add_argument(
        "--network",
        type=Path,
        metavar="RUN",
        help="vision run of a network whose attention maps of a translated picture are to equal "
        "those of the original; it stays as it is",
    )
    parser.add_argument(
        "--consistency",
        type=number(0.0),
        metavar="W",
        help="weight of that loss, 0 is plain CycleGAN (default: the recipe's loss.consistency)",
    )
    parser.add_argument(
        "--agent",
        default="cyclegan",
        metavar="RECIPE",
        help="translator: a name of 'rl-abn recipes vision', or a path",
    )
    parser.add_argument(
        "--steps",
        type=whole_number(1),
        metavar="N",
        help="updates (default: the recipe's train.steps)",
    )
    add_seed(parser, "everything random")
    add_training_folder(parser, "runs/SOURCE-to-TARGET/TRANSLATOR/seed-S")
    add_settings(parser)
    add_device(parser)
    parser.set_defaults(run=run_train)


def _add_apply(parts: Subparsers) -> None:
    parser = parts.add_parser(
        "apply",
        help="translate a data set",
        description="Write a data set of the same layout and labels whose pictures are translated, "
        "to learn from with 'rl-abn vision train'.",
    )
    add_run(parser)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="PATH", help="driving log or picture folders"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument(
        "--direction",
        type=one_of(("to_target", "to_source")),
        default="to_target",
        metavar="WHERE",
        help="to_target or to_source",
    )
    parser.add_argument(
        "--fid",
        type=Path,
        metavar="PATH",
        help="also measure the Fréchet Inception distance to the pictures here; needs torchmetrics",
    )
    parser.add_argument(
        "--checkpoint",
        type=whole_number(1),
        metavar="STEP",
        help="use the checkpoint of this step (default: the newest)",
    )
    add_device(parser)
    parser.set_defaults(run=run_apply)


def run_train(arguments: argparse.Namespace) -> None:
    """Trains, and says where the run is and what to type next."""
    from rl_abn.errors import warn
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.translation.prepare import prepare_run
    from rl_abn.vision.translation.train import train

    settings = list(arguments.settings)
    for key in ("consistency", "steps", "keep"):
        value = getattr(arguments, key)
        if value is not None:
            settings.append(f"{'loss' if key == 'consistency' else 'train'}.{key}={value}")
    run, material, resume = prepare_run(
        agent=arguments.agent,
        seed=arguments.seed,
        source=arguments.source,
        target=arguments.target,
        network=arguments.network,
        settings=settings,
        folder=arguments.out,
        on_exists=arguments.on_exists,
        device=arguments.device,
    )
    for domain in (material.source, material.target):
        for note in domain.notes:
            warn(note)
    steps = run.recipe.agent.train.steps
    print(f"run folder: {command(run.path)}")
    n_source, n_target = len(material.source.pictures), len(material.target.pictures)
    print(f"{n_source:,} pictures of the source, {n_target:,} of the target", flush=True)
    start = run.checkpoints[-1].step if resume and run.checkpoints else 0
    label = f"training {run.recipe.agent_name}"
    with ProgressReport(label, steps, "steps", start=start) as report:
        outcome = train(run, material, resume=resume, report=report)
    if outcome.signal is not None and outcome.step < steps:
        if outcome.step:
            print(f"stopped after {outcome.step:,} of {steps:,} steps; saved. Go on with:")
        else:
            print("stopped before the first step was done; nothing is saved. Begin again with:")
        print(go_on(arguments, run.path, saved=outcome.step > 0))
        sys.exit(128 + outcome.signal)
    print(f"trained {outcome.step:,} steps. Curves: {command('tensorboard', '--logdir', run.path)}")
    sheets = sorted((run.path / "sheets").glob("step-*.png"))
    if sheets:
        print(f"pairs with maps: {command(sheets[-1])}")
    data = command("--data", material.source.known.path, "--out", f"{run.path}-translated")
    print(f"next: {command('rl-abn', 'vision', 'translate', 'apply', run.path)} {data}")


def run_apply(arguments: argparse.Namespace) -> None:
    """Translates, and says where the new set is and what to type next."""
    from rl_abn.compute.device import device_of
    from rl_abn.errors import RlAbnError, say, warn
    from rl_abn.progress import ProgressReport
    from rl_abn.recipes import TranslationRunRecipe
    from rl_abn.runs import Run
    from rl_abn.vision.translation.apply import n_pictures, translate
    from rl_abn.vision.translation.fid import fid

    run = Run.open(arguments.path, TranslationRunRecipe)
    with ProgressReport("translating", n_pictures(arguments.data), "pictures") as report:
        translated = translate(
            run,
            arguments.data,
            arguments.out,
            direction=arguments.direction,
            step=arguments.checkpoint,
            device=arguments.device,
            report=report,
        )
    for note in translated.notes:
        warn(note)
    print(f"{translated.n:,} pictures translated: {command(translated.folder)}")
    if arguments.fid is not None:
        try:
            size, where = run.recipe.agent.pictures.size, device_of(arguments.device)
            print(f"FID: {fid(translated.folder, arguments.fid, size, where):.1f}")
        except RlAbnError as error:
            say(f"FID is skipped: {error}")
    print("next: rl-abn vision train --env RECIPE --agent RECIPE", end=" ")
    print(command("--data", translated.folder))

"""`rl-abn vision eval`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_data,
    add_device,
    add_epoch,
    add_interventions,
    add_json,
    add_run,
    add_seed,
    add_split,
    whole_number,
)

if TYPE_CHECKING:
    from rl_abn.vision.evaluation.evaluate import VisionEvaluation


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "eval",
        help="score a network on pictures it did not learn from",
        description="Score both branches of a network, with 95% intervals.",
    )
    add_run(parser)
    add_data(parser)
    add_split(parser)
    parser.add_argument(
        "--samples",
        type=whole_number(1, 10_000),
        default=0,
        metavar="N",
        help="ask N times under MC dropout too; the surer branch answers",
    )
    add_interventions(
        parser,
        "ask the network with changed maps too: zero, uniform, inverted, shuffled, "
        "shifted, time_average, swap or all",
    )
    add_epoch(parser)
    add_seed(parser, "samples and shuffled maps")
    add_json(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, prints the table and keeps the result."""
    from rich.console import Console

    from rl_abn.cli.vision.tables import captions_of, vision_tables
    from rl_abn.progress import ProgressReport
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run, write_output
    from rl_abn.vision.detection.evaluate import evaluate_detector
    from rl_abn.vision.evaluation.evaluate import evaluate_run
    from rl_abn.vision.evaluation.interventions import ON_PICTURES, read_interventions

    run = Run.open(arguments.path, VisionRunRecipe)
    is_detector = run.recipe.env.kind == "boxes"
    evaluate = evaluate_detector if is_detector else evaluate_run
    interventions = read_interventions(arguments.interventions, run, ON_PICTURES)
    with ProgressReport("looking", None, "pictures") as report:
        result = evaluate(
            run,
            data=arguments.data,
            split=arguments.split,
            samples=arguments.samples,
            interventions=interventions,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    # Kept before anything is printed: nobody may be reading.
    written, diagram = result.keep(run), result.keep_diagram(run)
    if arguments.json is not None:
        write_output(arguments.json, result.as_json())
    run.mend_status()
    console = Console(highlight=False)
    console.print(*vision_tables(result, console), sep="")
    console.print(*captions_of(result), sep="\n", markup=False)
    for line in what_is_known(result):
        print(line)
    print(f"kept in {command(written)}")
    if diagram is not None:
        print(f"reliability diagram: {command(diagram)}")
    has_maps = run.recipe.agent.attention.has_maps
    if has_maps and not interventions:
        words = ["eval", str(run.path), "--intervention", "all"]
    else:
        words = ["record", str(run.path)]
    print(f"next: {command('rl-abn', 'vision', *words)}")


def what_is_known(result: VisionEvaluation) -> list[str]:
    """Returns in sentences what the table does not say."""
    lines = []
    if result.samples:
        right, wrong = result.extra["entropy_right"], result.extra["entropy_wrong"]
        said = [f"{e:.3f} {of}" for e, of in ((right, "right"), (wrong, "wrong")) if e is not None]
        lines.append(
            f"mean entropy of Bayesian answers, 0 to 1: {', '.join(said)}; the attention branch "
            f"answered {result.extra['from_branch']:.0%}"
        )
    for name, mass in result.extra.get("visible_mass", {}).items():
        lines.append(
            f"{name.replace('_', '-')} on the visible part of {mass['n']:,} occluded objects: "
            f"{mass['share']:.3f} of its mass, an even map {mass['even']:.3f}; "
            f"difference {mass['above_even']:+.3f}"
        )
    return lines

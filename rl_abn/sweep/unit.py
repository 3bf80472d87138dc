"""Works on a unit of a sweep: trains and evaluates what is not there yet.

The result depends on the unit alone. Whoever works on it, and however often it is cut, ends with
the same weights.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from rl_abn.compute.device import device_of
from rl_abn.files.text import read_json, write_output
from rl_abn.protocols import blindnesses
from rl_abn.recipes import RunRecipe
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.rl.evaluation.kept_games import KeptGames
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import META, RECIPE, OnExists, Run
from rl_abn.sweep.exact import exact_checkpoints, keep_exact_checkpoints
from rl_abn.sweep.plan import Unit
from rl_abn.sweep.recipe import EvalTable
from rl_abn.sweep.status import EVALUATING, TRAINING, StatusReport


def is_trained(unit: Unit, folder: Path) -> bool:
    """Says whether a unit's training is finished; `folder` is its run folder.

    Raises:
        RlAbnError: If the run's `meta.json` is damaged.
    """
    if not (folder / RECIPE).is_file():
        return False
    meta = read_json(folder / META)
    steps = meta.get("steps")
    return meta.get("status") == "finished" and type(steps) is int and steps >= unit.steps


def is_done(unit: Unit, folder: Path) -> bool:
    """Says whether nothing is left to do: trained, and evaluated if that was asked for.

    Raises:
        RlAbnError: If the run's `meta.json` is damaged.
    """
    if not is_trained(unit, folder):
        return False
    return unit.eval is None or evaluation_file(unit.eval, folder).is_file()


def evaluation_file(eval_: EvalTable, folder: Path) -> Path:
    """Returns where the evaluation of a unit is kept, named by how it is evaluated."""
    asked = json.dumps(eval_.model_dump(mode="json"), sort_keys=True)
    return folder / "evaluations" / f"sweep-{sha256(asked.encode()).hexdigest()[:8]}.json"


def work(unit: Unit, folder: Path, device: str = "auto") -> bool:
    """Trains and evaluates a unit, as far as that is not done.

    Ctrl-C, SIGTERM and SIGHUP end the training with a checkpoint.

    Args:
        unit: The unit.
        folder: Its run folder.
        device: Where the networks run.

    Returns:
        Whether it is done; False where a signal ended it early.

    Raises:
        RlAbnError: If it cannot be trained or evaluated.
    """
    recipe = unit.recipe()
    if not is_trained(unit, folder) and not _train(unit, recipe, folder, device):
        return False
    if unit.eval is not None and not evaluation_file(unit.eval, folder).is_file():
        _evaluate(unit.eval, folder, device)
    return True


def _train(unit: Unit, recipe: RunRecipe, folder: Path, device: str) -> bool:
    exact, on_exists = unit.machine.exact, _how(unit, folder)
    settings = list(unit.settings)
    if on_exists == "overwrite" or not (folder / RECIPE).is_file():
        settings += _for_this_machine(unit, recipe, device)
    if exact:
        settings += ["train.checkpoint_every_minutes=0"]
        if recipe.agent.train.keep == 1:
            # The newest checkpoint may be one that a stop left.
            settings += ["train.keep=2"]
    run, resume = prepare_run(
        env=unit.env,
        agent=unit.agent,
        seed=unit.seed,
        settings=settings,
        folder=folder,
        on_exists=on_exists,
        device=device,
    )
    if exact and resume:
        keep_exact_checkpoints(run)
    with StatusReport(folder, TRAINING, unit.steps, "steps") as report:
        outcome = train(run, resume=resume, device=device, report=report)
    return not outcome.interrupted


def _how(unit: Unit, folder: Path) -> OnExists:
    """Returns whether a run that is there can go on, or has to be trained from its beginning."""
    if not unit.machine.exact or not (folder / RECIPE).is_file():
        return "resume"
    return "resume" if exact_checkpoints(Run.open(folder)) else "overwrite"


def _for_this_machine(unit: Unit, recipe: RunRecipe, device: str) -> list[str]:
    """Returns settings of a training that shares a machine with others.

    They settle what "auto" would make of all the machine's cores, so that its number of cores
    changes no byte.
    """
    settings, train_table = [], recipe.agent.train
    on_cpu = device_of(device).type == "cpu"
    if on_cpu and train_table.env_parts == "auto" and unit.machine.threads == 1:
        settings.append("train.env_parts=1")
    if train_table.emulator_threads == 0:
        settings.append(f"train.emulator_threads={unit.machine.threads}")
    return settings


def _evaluate(eval_: EvalTable, folder: Path, device: str) -> None:
    """Evaluates a trained unit; cut off, it goes on with the player whose games were not over."""
    run = Run.open(folder)
    agent = run.recipe.agent
    labels = eval_.interventions if agent.attention.has_maps else ()
    interventions = read_interventions(labels, run.recipe.agent_name, agent)
    blind = blindnesses(eval_.blind)
    kept = KeptGames(run)
    n_games = eval_.episodes * (1 + len(interventions) + len(blind) + eval_.random)
    with StatusReport(folder, EVALUATING, n_games, "games") as report:
        result = evaluate_run(
            run,
            n_games=eval_.episodes,
            protocol=eval_.protocol,
            greedy=eval_.greedy,
            interventions=interventions,
            blind=blind,
            with_random=eval_.random,
            max_steps=eval_.max_steps,
            seed=eval_.seed,
            device=device,
            kept=kept,
            report=report,
        )
    write_output(evaluation_file(eval_, folder), result.as_json())
    kept.forget()

"""Makes a run of another: the same network, fine-tuned to maps that a person edited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, printable, warn
from rl_abn.map_editing.edit_files import read_edits, write_edits
from rl_abn.map_editing.edits import Edits
from rl_abn.progress import ProgressReport
from rl_abn.recipes import VisionRunRecipe, override
from rl_abn.recipes.vision import EditTable
from rl_abn.runs import OnExists, Run, check_free, free_folder, write_output
from rl_abn.runs.holding import hold, let_go, let_go_on_failure
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.data.pictures import ChosenPictures
from rl_abn.vision.evaluation.predict import Predictions, predict, truth_of
from rl_abn.vision.evaluation.splits import open_learned
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.tasks.scores import Row
from rl_abn.vision.training.build import Trained, VisionRun, load_network
from rl_abn.vision.training.finetune import Examples as Material
from rl_abn.vision.training.finetune import FineTuning, finetune
from rl_abn.vision.training.prepare import data_of

RESULT = "edited.json"
EDITS = "edits"
_CHOICES = "new or overwrite"


class Change(NamedTuple):
    """One branch's scores on some pictures, before and after.

    Attributes:
        pictures: "held out" or "edited".
        n: How many.
        before: Its numbers.
        after: Its numbers, and the difference of the first to before, picture by picture.
    """

    pictures: str
    n: int
    before: Row
    after: Row


class Edited(NamedTuple):
    """What came of fine-tuning a run to edited maps.

    Attributes:
        run: The new run.
        source: The run it was made of.
        step: That one's checkpoint, by epoch.
        edits: Where the edits lay.
        n_edited: How many pictures were edited.
        table: How it was fine-tuned.
        seed: Of the order of the pictures, and of dropout.
        tuning: How far maps were from the edited ones, before and after.
        changes: Of both branches, on held-out pictures (if there are any) and on edited ones.
    """

    run: VisionRun
    source: str
    step: int
    edits: str
    n_edited: int
    table: EditTable
    seed: int
    tuning: FineTuning
    changes: list[Change]

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        before, after = self.tuning
        return {
            "run": str(self.run.path),
            "from": self.source,
            "epoch": self.step,
            "edits": self.edits,
            "n_edited": self.n_edited,
            **self.table.model_dump(),
            "seed": self.seed,
            "map_loss": {"before": before.map_loss, "after": after.map_loss},
            "scores": [
                {
                    "pictures": change.pictures,
                    "n": change.n,
                    "before": change.before.as_json(),
                    "after": change.after.as_json(),
                }
                for change in self.changes
            ],
        }

    def keep(self) -> Path:
        """Writes it into the new run's evaluations/."""
        path = self.run.path / "evaluations" / RESULT
        write_output(path, self.as_json())
        return path


def edit_run(
    run: VisionRun,
    edits: Path,
    *,
    settings: Sequence[str] = (),
    data: Path | None = None,
    folder: Path | None = None,
    on_exists: OnExists | None = None,
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Edited:
    """Fine-tunes a run's attention and perception branch to edited maps, into a new run folder.

    Nothing is written before the fine-tuning is done.

    Args:
        run: The run; it stays as it is.
        edits: The folder of the edits, their edits.toml or a .zip.
        settings: Overrides of the recipe's edit table, such as "edit.gamma=5".
        data: Where the data lies; None is where it lay in training.
        folder: The new run folder; None is the run's with "-edited" behind it.
        on_exists: "new" or "overwrite", where a run is already.
        step: The checkpoint's epoch; None is the newest.
        seed: Of the order of the pictures, and of dropout.
        device: Where the network runs.
        report: Shows how many epochs are done.

    Raises:
        RlAbnError: If the network has no maps to edit, an edit is of no picture that the run
            learned from, or a setting, the checkpoint, the data or the folder will not do.
    """
    check_editable(run)
    table = edit_table_of(run, settings)
    folder = folder or run.path.with_name(f"{run.path.resolve().name}-edited")
    given = read_edits(edits)
    _check_place(run, edits, folder, on_exists)
    where = device_of(device)
    trained = load_network(run, step=step, device=where)
    path = data or data_of(run)
    opened = open_learned(run, trained.outputs, path, where, hold=True)
    _check_learned(given, opened.train, opened.held_out)
    edited = opened.train.chosen(given.numbers(opened.train.own_names))
    asked = {"held out": opened.held_out, "edited": edited}
    before = {name: predict(trained, some) for name, some in asked.items() if some is not None}
    tuning = finetune(
        trained.network,  # type: ignore[arg-type]  # all that build_model makes are AbnNetworks
        _material(trained, opened.train),
        given,
        prepare=trained.batches.images,
        gamma=table.gamma,
        epochs=table.epochs,
        learning_rate=table.learning_rate,
        batch_size=run.recipe.agent.train.batch_size,
        seed=seed,
        compute=trained.batches.compute,
        report=report,
    )
    changes: list[Change] = []
    for name, was in before.items():
        some = asked[name]
        assert some is not None
        changes += _changes(name, trained.outputs, some, was, predict(trained, some))
    made = _new_run(run, trained, table, folder, on_exists, device, path, given, seed)
    step = trained.checkpoint.step
    return Edited(made, str(run.path), step, given.place, len(edited), table, seed, tuning, changes)


def check_editable(run: VisionRun) -> None:
    """Refuses a run whose network has no maps that can be edited.

    Raises:
        RlAbnError: If it is a no-attention baseline, or its maps cannot be painted.
    """
    attention = run.recipe.agent.attention
    if not attention.has_maps:
        raise RlAbnError(
            f"expected a network with attention maps, got '{run.recipe.agent_name}', "
            "which has none to edit"
        )
    if not attention.abilities.paintable:
        raise RlAbnError(
            "expected a network whose maps lie on the picture, to edit them, got "
            f"'{run.recipe.agent_name}' with mechanism '{attention.mechanism}'"
        )


def edit_table_of(run: VisionRun, settings: Sequence[str]) -> EditTable:
    """Returns how a run is fine-tuned.

    Args:
        run: The run.
        settings: Overrides of its recipe's edit table.

    Raises:
        RlAbnError: If they are of other tables, or out of range.
    """
    recipe = run.recipe
    agent, env = override(recipe.agent, recipe.env, settings)
    if agent.model_copy(update={"edit": recipe.agent.edit}) != recipe.agent or env != recipe.env:
        fields = ", ".join(f"edit.{field}" for field in EditTable.model_fields)
        raise RlAbnError(
            f"expected --set of {fields}, as the network is trained already, "
            f"got {' '.join(settings)}"
        )
    return agent.edit


def _check_place(run: VisionRun, edits: Path, folder: Path, on_exists: OnExists | None) -> None:
    """Says before anything is computed that a folder is taken, or holds what is needed."""
    check_free(folder, on_exists, _CHOICES)
    if on_exists != "overwrite":
        return
    for needed, what in ((run.path, "the run that is edited"), (edits, "the edits")):
        if folder.resolve() in (needed.resolve(), *needed.resolve().parents):
            raise RlAbnError(
                f"expected a folder that can be overwritten, got '{folder}', where {what} "
                f"{'is' if what.endswith('edited') else 'are'}; use --on-exists new"
            )


def _check_learned(edits: Edits, train: Examples, held_out: Examples | None) -> None:
    names = set() if held_out is None else set(held_out.own_names)
    names -= set(train.own_names)  # a set with splits may call pictures of both the same
    kept = [name for name in edits.of if name in names]
    if kept:
        others = f" and {len(kept) - 1:,} more" if len(kept) > 1 else ""
        raise RlAbnError(
            f"{edits.place}: expected pictures that the run learned from, got "
            f"'{printable(kept[0])}'{others}, which is held out to measure it; "
            "'rl-abn vision edit RUN --list' shows some that will do"
        )


def _material(trained: Trained, examples: Examples) -> Material:
    return Material(
        pictures=ChosenPictures(examples.pictures, examples.indices),
        targets=trained.batches.encode(examples.targets).cpu(),
        names=examples.own_names,
        speed=examples.speed if trained.network.takes_speed else None,
    )


def _changes(
    pictures: str, outputs: Outputs, examples: Examples, was: Predictions, now: Predictions
) -> list[Change]:
    pairs = [("perception branch", was.outputs, now.outputs)]
    if was.branch_outputs is not None and now.branch_outputs is not None:
        pairs.append(("attention branch", was.branch_outputs, now.branch_outputs))
    changes = []
    task, truth = outputs.task, truth_of(outputs, examples, was)
    for name, old, new in pairs:
        before, after = (task.score(name, said, truth) for said in (old, new))
        after = task.beside(after, new, old, truth)
        changes.append(Change(pictures, len(examples), before, after))
    return changes


def _new_run(
    run: VisionRun,
    trained: Trained,
    table: EditTable,
    folder: Path,
    on_exists: OnExists | None,
    device: str,
    data: Path,
    edits: Edits,
    seed: int,
) -> VisionRun:
    agent = run.recipe.agent.model_copy(update={"edit": table})
    recipe = run.recipe.model_copy(update={"agent": agent})
    try:
        folder = free_folder(folder, on_exists, _CHOICES)
    except RlAbnError as error:  # taken since the fine-tuning began, which is not to be lost
        folder = free_folder(folder, "new")
        warn(f"{error}; kept in {folder}")
    with let_go_on_failure(folder):
        made = _write_run(run, trained, table, recipe, folder, device, data, edits, seed)
    let_go(folder)
    return made


def _write_run(
    run: VisionRun,
    trained: Trained,
    table: EditTable,
    recipe: VisionRunRecipe,
    folder: Path,
    device: str,
    data: Path,
    edits: Edits,
    seed: int,
) -> VisionRun:
    step = trained.checkpoint.step
    made = Run.create(
        folder,
        recipe,
        device,
        data=str(data.resolve()),
        status="finished",
        epochs=step + table.epochs,
        edited={
            "from": str(run.path.resolve()),
            "epoch": step,
            "edits": edits.place,
            "n_edited": len(edits.of),
            **table.model_dump(),
            "seed": seed,
        },
    )
    hold(made.path)
    trained.outputs.save(made.path)
    write_edits(made.path / EDITS, edits)
    weights = {name: tensor.detach().cpu() for name, tensor in trained.network.state_dict().items()}
    # No optimizer's state: fine-tuning is no part of a training that could go on.
    made.save_checkpoint(step + table.epochs, weights, {}, {"epoch": step + table.epochs})
    return made

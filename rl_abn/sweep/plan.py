"""What a sweep consists of: one unit of work for each game, agent, arm and seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.recipes import RunRecipe, TrainTable, make_run_recipe
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Table
from rl_abn.rl.envs.make import check_env
from rl_abn.rl.evaluation.evaluate import protocol_of
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.sweep.recipe import EvalTable, MachineTable, SweepRecipe, read_sweep

PLAN = "sweep.json"
_DIGITS = 8


class Unit(Table):
    """One training of a sweep, and the evaluation of what was trained: data, and all of it.

    Attributes:
        env: Name, id or absolute path of the game's recipe.
        agent: Name or absolute path of the agent's recipe.
        settings: Overrides of both.
        seed: Of everything random.
        env_name: The game's name in folders.
        label: The agent's name, with the arm's where the sweep has arms.
        digest: Hash of the recipe that these come to, without the seed.
        steps: Agent steps.
        eval: How it is evaluated.
        machine: How it shares a machine.
    """

    env: str
    agent: str
    settings: tuple[str, ...]
    seed: int
    env_name: str
    label: str
    digest: str
    steps: int
    eval: EvalTable | None
    machine: MachineTable

    @property
    def name(self) -> str:
        """Its name and its run folder in the sweep's: readable, and unlike any other content's."""
        return f"{self.env_name}/{self.label}-{self.digest}/seed-{self.seed}"

    def recipe(self) -> RunRecipe:
        """Resolves its recipe.

        Raises:
            RlAbnError: If it is not the one that the sweep was planned with.
        """
        recipe = make_run_recipe(self.env, self.agent, self.seed, self.settings)
        if digest_of(recipe) != self.digest:
            raise RlAbnError(
                f"{self.name}: expected the recipes this sweep was planned with, got others: "
                f"'{self.agent}' or '{self.env}' was edited; start the sweep again"
            )
        return recipe


class Plan(NamedTuple):
    """A sweep, resolved.

    Attributes:
        name: Of the sweep.
        out: Its folder.
        recipe: What was asked for.
        units: All its units; every game, agent and arm has its first seed before any its second.
    """

    name: str
    out: Path
    recipe: SweepRecipe
    units: tuple[Unit, ...]

    def write(self) -> None:
        """Writes the plan into the sweep's folder.

        Raises:
            RlAbnError: If it cannot be written.
        """
        units = [unit.model_dump(mode="json") for unit in self.units]
        recipe = self.recipe.model_dump(mode="json", exclude_none=True)
        write_output(self.out / PLAN, {"name": self.name, "recipe": recipe, "units": units})


def make_plan(
    file: Path,
    out: Path | None = None,
    change: Callable[[SweepRecipe], SweepRecipe] | None = None,
) -> Plan:
    """Reads a sweep's file and resolves every unit of it.

    Args:
        file: The sweep's file.
        out: The sweep's folder; None is sweeps/NAME, after the file's name.
        change: What is made of the file's recipe; None leaves it as it is.

    Raises:
        RlAbnError: If the file or anything it names is wrong.
    """
    recipe = read_sweep(file)
    if change is not None:
        recipe = change(recipe)
    units = tuple(sorted(_units(file, recipe), key=lambda unit: recipe.seeds.index(unit.seed)))
    if not units:
        raise RlAbnError(f"{file}: expected something to train, got arms that leave nothing")
    _check_they_differ(file, units)
    return Plan(file.stem, out or Path("sweeps", file.stem), recipe, units)


def find_plan(path: Path, out: Path | None = None) -> Plan:
    """Makes the plan of a sweep's file, or reads the one that a sweep's folder has.

    Raises:
        RlAbnError: If the path is neither.
    """
    if not path.is_dir():
        return make_plan(path, out)
    if not (path / PLAN).is_file():
        raise RlAbnError(f"expected a sweep's file or folder, got '{path}' without {PLAN}")
    data = read_json(path / PLAN)
    # JSON has arrays where the tables have tuples.
    recipe = validate(SweepRecipe, _part(data, "recipe", dict), str(path / PLAN))
    units = []
    for unit in _part(data, "units", list):
        try:
            units.append(Unit.model_validate_json(json.dumps(unit)))
        except ValueError:
            raise RlAbnError(f"{path / PLAN}: expected the units of a sweep, got others") from None
        if Path(units[-1].name).is_absolute() or ".." in Path(units[-1].name).parts:
            raise RlAbnError(f"{path / PLAN}: expected units in it, got '{units[-1].name}'")
    return Plan(str(data.get("name")), path, recipe, tuple(units))


def digest_of(recipe: RunRecipe) -> str:
    """Returns a hash of all that a training's result depends on, except the seed.

    What may be changed when a run goes on, such as how many checkpoints are kept, is no part of
    it, the number of steps is.
    """
    data = recipe.model_dump(mode="json", exclude_none=True)
    del data["seed"]
    for field in TrainTable.may_change:
        if field != "steps":
            data["agent"]["train"].pop(field, None)
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _units(file: Path, sweep: SweepRecipe) -> Iterator[Unit]:
    base = file.resolve().parent
    steps = () if sweep.steps is None else (f"train.steps={sweep.steps}",)
    with_maps = False
    for game in sweep.games:
        env = _located(game, base)
        for agent_name in sweep.agents:
            agent = _located(agent_name, base)
            for arm_name, arm in sweep.named_arms.items():
                if game not in (arm.games or sweep.games):
                    continue
                if agent_name not in (arm.agents or sweep.agents):
                    continue
                settings = (*sweep.set, *arm.set, *steps)
                where = f"{file}: {agent_name}" + (f", arm '{arm_name}'" if arm_name else "")
                try:
                    recipe = make_run_recipe(env, agent, 0, settings)
                    check_env(recipe.env)
                    _check_evaluation(sweep.eval, recipe)
                except RlAbnError as error:
                    raise RlAbnError(f"{where} on {game}: {error}") from None
                with_maps = with_maps or recipe.agent.attention.has_maps
                for seed in sweep.seeds:
                    yield Unit(
                        env=env,
                        agent=agent,
                        settings=settings,
                        seed=seed,
                        env_name=recipe.env_name,
                        label=recipe.agent_name + (f"-{arm_name}" if arm_name else ""),
                        digest=digest_of(recipe),
                        steps=recipe.agent.train.steps,
                        eval=sweep.eval,
                        machine=sweep.machine,
                    )
    if sweep.eval is not None and sweep.eval.interventions and not with_maps:
        raise RlAbnError(
            f"{file}: expected an agent with attention maps for eval.interventions, got none"
        )


def _check_evaluation(eval_: EvalTable | None, recipe: RunRecipe) -> None:
    if eval_ is None:
        return
    if eval_.protocol is not None:
        protocol_of(recipe.env, eval_.protocol)
    if recipe.agent.attention.has_maps:
        read_interventions(eval_.interventions, recipe.agent_name, recipe.agent)


def _check_they_differ(file: Path, units: tuple[Unit, ...]) -> None:
    """Refuses two units of one content, and two of one name."""
    of_content: dict[tuple[str, str, int], str] = {}
    of_name: dict[tuple[str, str, int], str] = {}
    for unit in units:
        key = (unit.env_name, unit.digest, unit.seed)
        other = of_content.setdefault(key, unit.label)
        if other != unit.label:
            raise RlAbnError(
                f"{file}: expected arms that differ, got '{other}' and '{unit.label}' with the "
                f"same recipe on {unit.env_name}"
            )
        named = (unit.env_name, unit.label, unit.seed)
        if of_name.setdefault(named, unit.digest) != unit.digest:
            raise RlAbnError(
                f"{file}: expected games and agents with names of their own, got two recipes "
                f"called '{unit.label}' on '{unit.env_name}'"
            )
    if len(of_content) < len(units):
        raise RlAbnError(f"{file}: expected different games and agents, got one of them twice")


def _located(name: str, base: Path) -> str:
    """Returns a recipe's name as it is, and its path as an absolute one."""
    return str(base / name) if name.endswith(".toml") else name


def _part(data: dict[str, Any], key: str, kind: type) -> Any:
    part = data.get(key)
    if not isinstance(part, kind):
        raise RlAbnError(f"{PLAN}: expected '{key}', got {type(part).__name__}")
    return part

"""What the documentation tells people to type exists, and its Python runs."""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from rl_abn.attention.mechanisms.registry import MECHANISMS
from rl_abn.cli.commands import make_parser
from rl_abn.cli.parser import parse
from rl_abn.recipes import RunRecipe, list_recipes, make_run_recipe, make_vision_recipe
from rl_abn.rl.training import reliance_callback
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.vision.training.kinds import check_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


PYTHON_PAGE = ROOT / "docs" / "python.md"  # its examples go on from one another


def blocks(language):
    for page in PAGES:
        if page == PYTHON_PAGE and language == "python":
            continue
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)):
            yield pytest.param(code, id=f"{page.stem}-{i}")


COMMANDS = [
    pytest.param(line.split("  #")[0].strip(), id=f"{block.id}-{i}")
    for block in blocks("sh")
    for i, line in enumerate(block.values[0].splitlines())
    if line.startswith("rl-abn ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse_and_their_recipes_resolve(command):
    words = shlex.split(command)[1:]
    arguments = parse(make_parser(words), words)
    if words[:2] == ["vision", "train"]:
        recipe = make_vision_recipe(
            arguments.env, arguments.agent, arguments.seed, arguments.settings
        )
        package = recipe.agent.network.name
        if package in ("torchvision", "timm"):
            pytest.importorskip(package, reason=f"{package}, which builds it, is not installed")
        check_recipe(recipe)
    elif words[0] == "train":
        recipe = make_run_recipe(arguments.env, arguments.agent, arguments.seed, arguments.settings)
        assert isinstance(recipe, RunRecipe)


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 10


@pytest.fixture
def mechanisms(monkeypatch):
    """Forgets the mechanisms that a page registers."""
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_runs(code, tmp_path, monkeypatch, mechanisms):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {})


def run_in_one_namespace(sources):
    namespace = {"__name__": "page"}
    for source in sources:
        exec(compile(source, "docs", "exec"), namespace)
    return namespace


def notebook_cells(kind):
    notebook = json.loads(PYTHON_PAGE.with_suffix(".ipynb").read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.more
def test_the_notebook_runs(tmp_path, monkeypatch, mechanisms):
    monkeypatch.chdir(tmp_path)
    cells = notebook_cells("code")
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names = run_in_one_namespace("".join(cell["source"]) for cell in cells)
    assert names["agent"].step >= 2000
    assert names["picture"].shape == (4 * 84, 4 * 84, 3)
    assert "brightness" in MECHANISMS


def test_the_python_page_has_the_notebooks_examples():
    """The notebook runs them; it has one cell more, which draws a picture."""
    page = re.findall(r"```python\n(.*?)\n```", PYTHON_PAGE.read_text("utf-8"), re.S)
    cells = ["".join(cell["source"]) for cell in notebook_cells("code")]
    assert page == [source for source in cells if "overlay" not in source]
    assert len(page) == len(cells) - 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_every_recipe():
    text = (ROOT / "README.md").read_text()
    for name in (*list_recipes("agents"), *list_recipes("envs")):
        assert f"`{name}`" in text


def test_the_vision_page_names_every_recipe_of_its_track():
    text = (ROOT / "docs" / "vision.md").read_text()
    for name in (*list_recipes("agents/vision"), *list_recipes("envs/vision")):
        assert f"`{name}`" in text, name


@pytest.mark.more
@pytest.mark.parametrize("loss", ["actor_critic", "distillation"])
def test_every_logged_metric_is_explained(loss, tmp_path, monkeypatch):
    bank = partial(reliance_callback.collect_bank, n_steps=4)  # instead of 512
    monkeypatch.setattr(reliance_callback, "collect_bank", bank)
    text = (ROOT / "docs" / "metrics.md").read_text()
    for agent, batch in (("ppo_abn", ["algorithm.batch_size=16"]), ("a2c_abn", [])):
        run, _ = prepare_run(
            env="pong",
            agent=agent,
            seed=0,
            folder=tmp_path / agent,
            settings=[
                "algorithm.n_envs=2",
                "algorithm.n_steps=8",
                *batch,
                f"algorithm.branch_loss={loss}",
                "protocol.legacy.max_frames=60",
                "train.steps=48",
                "train.log_every=16",
                "train.reliance_every=48",
                "train.n_probes=1",
                # The second learns from the first.
                *([f"teacher.path='{tmp_path / 'ppo_abn'}'"] if agent == "a2c_abn" else []),
            ],
        )
        train(run, resume=False)
        logged = {key for row in read_metrics(run.path / "metrics.jsonl") for key in row}
        assert ("train/teacher_kl" in logged) == (agent == "a2c_abn")
        for key in logged - {"step"}:
            name = re.sub("(shared|policy|value)_map", "NAME_map", key)
            assert f"`{name}`" in text, key

"""Imports run downward only: a floor of the house rests on those below it, never on those above."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import rl_abn

PACKAGE = Path(rl_abn.__file__).parent

# What each floor may import of ours, lowest floor first.
FLOORS: dict[str, set[str]] = {
    # The door reaches up to both tracks, and `__init__` to the door: the one exception, and only
    # inside functions, so that importing the package stays fast. Nobody else imports the door.
    "__init__": {"door"},
    "door": {"errors", "recipes", "runs", "rl", "vision"},
    "command_line": set(),
    "errors": set(),
    "estimates": set(),
    "process_memory": set(),
    "progress": set(),
    "protocols": set(),
    "seeds": set(),
    "stop_signal": set(),
    "files": {"errors"},
    "attention": set(),
    "compute": {"errors"},
    "networks": {"attention", "errors"},
    "map_editing": {"attention", "errors", "files"},
    "recipes": {"attention", "networks", "errors", "files", "protocols"},
    "render": {"errors"},
    "aggregates": {"estimates", "render"},
    "explain": {"errors", "estimates", "files", "progress", "render"},
    "record": {"errors", "files", "render"},
    "runs": {"command_line", "compute", "errors", "files", "process_memory", "recipes"}
    | {"stop_signal"},
    "rl": {
        "attention",
        "compute",
        "networks",
        "map_editing",
        "recipes",
        "record",
        "render",
        "runs",
        "aggregates",
        "command_line",
        "errors",
        "estimates",
        "explain",
        "files",
        "progress",
        "protocols",
        "seeds",
        "stop_signal",
    },
    "vision": {
        "attention",
        "compute",
        "networks",
        "map_editing",
        "recipes",
        "render",
        "runs",
        "command_line",
        "errors",
        "estimates",
        "explain",
        "files",
        "progress",
        "seeds",
        "stop_signal",
    },
    "bench": {"compute", "errors", "process_memory", "recipes", "record", "runs", "rl", "seeds"},
    "sweep": {
        "aggregates",
        "compute",
        "errors",
        "estimates",
        "files",
        "process_memory",
        "progress",
        "protocols",
        "recipes",
        "render",
        "rl",
        "runs",
        "stop_signal",
    },
    "campaign": {"bench", "compute", "errors", "files", "progress", "protocols", "recipes"}
    | {"rl", "runs", "sweep"},
    "view": {
        "attention",
        "errors",
        "estimates",
        "explain",
        "files",
        "map_editing",
        "progress",
        "recipes",
        "record",
        "rl",
        "runs",
        "seeds",
        "vision",
    },
    "cli": {
        "attention",
        "compute",
        "networks",
        "map_editing",
        "recipes",
        "record",
        "render",
        "runs",
        "rl",
        "vision",
        "bench",
        "sweep",
        "campaign",
        "view",
        "command_line",
        "errors",
        "estimates",
        "explain",
        "files",
        "process_memory",
        "progress",
        "protocols",
        "stop_signal",
    },
    "__main__": {"cli"},
}

# What a floor may import of others' beside the standard library; other floors are free.
ONLY: dict[str, set[str]] = {
    "__init__": set(),
    "attention": {"torch", "jaxtyping"},
    "command_line": set(),
    "errors": set(),
    "stop_signal": set(),
    "__main__": set(),
}
NEVER: dict[str, set[str]] = {
    floor: {"torch", "stable_baselines3", "gymnasium", "ale_py"} for floor in ("render", "record")
}


def module_name(file: Path) -> str:
    parts = ["rl_abn", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts if parts[-1] != "__init__" or len(parts) == 2 else parts[:-1])


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Every import in a module, lazy ones too: the line and the absolute name."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            # A name may be a module: "from rl_abn import runs".
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}" if base == "rl_abn" else base
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            function = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if function in ("import_module", "__import__"):
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value


def floor_of(name: str) -> str:
    """The floor of one of our modules; a plain name of the package's own is its `__init__`."""
    parts = name.split(".")
    if len(parts) == 1 or parts[1].startswith("__version__"):
        return "__init__"
    return parts[1]


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports and may not."""
    floor = floor_of(module)
    if floor not in FLOORS:
        return [f"{module}: floor '{floor}' is new: say in FLOORS what it may import"]
    wrong = []
    for line, name in imports(source, module, is_package=is_package):
        top = name.partition(".")[0]
        place = f"{module}, line {line}: imports {name}"
        if top == "rl_abn":
            other = floor_of(name)
            if other not in FLOORS[floor] | {floor, "__init__"}:
                may = ", ".join(sorted(FLOORS[floor])) or "nothing of ours"
                wrong.append(f"{place}, but '{floor}' may import only {may}")
        elif top in NEVER.get(floor, ()):
            wrong.append(f"{place}, but '{floor}' never imports {top}")
        elif floor in ONLY and top not in sys.stdlib_module_names | ONLY[floor]:
            may = ", ".join(["the standard library", *sorted(ONLY[floor])])
            wrong.append(f"{place}, but '{floor}' may import only {may}")
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward(module: str) -> None:
    file = MODULES[module]
    wrong = violations(file.read_text("utf-8"), module, is_package=file.name == "__init__.py")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["rl_abn.__init__", "rl_abn.door"])
def test_the_door_is_lazy(module: str) -> None:
    """At the top there is only the standard library, and what a type checker alone reads."""
    top = ast.parse(MODULES[module].read_text("utf-8")).body
    outside = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    source = "\n".join(map(ast.unparse, outside))
    assert {
        name.partition(".")[0] for _, name in imports(source, module)
    } <= sys.stdlib_module_names


def test_every_floor_is_there() -> None:
    assert {floor_of(module) for module in MODULES} == FLOORS.keys()
    assert {floor for floors in FLOORS.values() for floor in floors} <= FLOORS.keys()


def test_the_floors_can_be_stacked() -> None:
    order = list(TopologicalSorter(FLOORS).static_order())
    assert sorted(order) == sorted(FLOORS)
    assert order.index("attention") < order.index("networks") < order.index("recipes")
    assert order.index("runs") < order.index("rl") < order.index("bench")
    assert order.index("bench") < order.index("cli")


PLANTED = [
    ("rl_abn.attention.branch", "from rl_abn.errors import RlAbnError"),
    ("rl_abn.attention.branch", "import rl_abn.networks.nature"),
    ("rl_abn.attention.branch", "from rl_abn import errors"),
    ("rl_abn.attention.branch", "from ..networks import NETWORKS"),
    ("rl_abn.attention.branch", "from .. import networks"),
    ("rl_abn.attention.mechanisms.mask", "from ... import rl"),
    ("rl_abn.attention.branch", "import numpy as np"),
    ("rl_abn.attention.branch", "import torch, einops"),
    ("rl_abn.errors", "import rich"),
    ("rl_abn.errors", "from rl_abn.runs import Run"),
    ("rl_abn.progress", "from rl_abn.errors import RlAbnError"),
    ("rl_abn.networks.nature", "from rl_abn.recipes import PPO"),
    ("rl_abn.recipes.agent", "from rl_abn.runs import Run"),
    ("rl_abn.recipes.agent", "from rl_abn.rl import AttentionPPO"),
    ("rl_abn.runs", "from rl_abn.render import VideoWriter"),
    ("rl_abn.runs", "def lazy():\n    from rl_abn.rl.training.train import train"),
    ("rl_abn.runs", "if TYPE_CHECKING:\n    import rl_abn.rl.training.train"),
    ("rl_abn.runs", "import_module('rl_abn.rl.training.train')"),
    ("rl_abn.runs", "importlib.import_module('rl_abn.cli')"),
    ("rl_abn.render.scene", "import torch"),
    ("rl_abn.render.scene", "from rl_abn.record import Episode"),
    ("rl_abn.record.reader", "import torch"),
    ("rl_abn.record.reader", "from rl_abn.runs import Run"),
    ("rl_abn.record.reader", "from rl_abn.rl.evaluation.replay import Replay"),
    ("rl_abn.render.scene", "from torch import Tensor"),
    ("rl_abn.render.scene", "import torch.nn.functional as F"),
    ("rl_abn.render.scene", "from stable_baselines3.common import logger"),
    ("rl_abn.render.scene", "import gymnasium"),
    ("rl_abn.render.scene", "from rl_abn.attention import Attention"),
    ("rl_abn.render.scene", "from rl_abn.progress import ProgressReport"),
    ("rl_abn.rl.training.train", "from rl_abn.cli import main"),
    ("rl_abn.rl.training.train", "from rl_abn import cli"),
    ("rl_abn.rl.training.train", "from rl_abn.bench.worker import measure"),
    ("rl_abn.rl.training.train", "from rl_abn.vision.models import MODELS"),
    (
        "rl_abn.vision.models.resnet",
        "from rl_abn.rl import AttentionPolicy",
    ),
    ("rl_abn.bench.rounds", "from rl_abn.cli import main"),
    ("rl_abn.rl.evaluation.replay", "from rl_abn.view.what_if import what_if"),
    ("rl_abn.view.app", "from rl_abn.cli import main"),
    ("rl_abn.cli.main", "from rl_abn import __main__"),
    ("rl_abn", "from rl_abn.runs import Run"),
    ("rl_abn", "import torch"),
    ("rl_abn.runs", "from rl_abn.door import load"),
    ("rl_abn.attic", "import os"),
]


@pytest.mark.parametrize(("module", "source"), PLANTED)
def test_a_planted_import_is_found(module: str, source: str) -> None:
    found = violations(f'"""A module."""\n\n{source}\n', module)
    assert len(found) == 1
    assert found[0].startswith(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rl_abn.attention.branch", "import math, torch\nfrom jaxtyping import Float"),
        ("rl_abn.attention.branch", "from rl_abn.attention.mechanisms import apply"),
        ("rl_abn.attention.branch", "from .mechanisms import apply"),
        ("rl_abn.networks.nature", "from rl_abn.attention import AdditiveAttention"),
        ("rl_abn.runs", "from rl_abn.recipes import RunRecipe\nimport torch"),
        ("rl_abn.render.scene", "from rl_abn.errors import RlAbnError\nimport numpy, cv2"),
        ("rl_abn.render.scene", "from rl_abn.render import draw\nfrom . import grid"),
        ("rl_abn.rl.training.train", "from rl_abn import runs, recipes"),
        (
            "rl_abn.cli.main",
            "from rl_abn import __version__\nfrom rl_abn.rl.training.train import train",
        ),
        ("rl_abn.__main__", "from rl_abn.cli import main"),
    ],
)
def test_an_import_downward_is_fine(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert list(imports("from . import draw", "rl_abn.render", is_package=True)) == [
        (1, "rl_abn.render")
    ]
    assert violations("from .. import rl", "rl_abn.render", is_package=True) != []


@pytest.mark.parametrize("command", ["train", "evaluate", "watch", "export"])
def test_an_agents_command_reaches_no_vision(command: str) -> None:
    source = MODULES[f"rl_abn.cli.{command}"].read_text("utf-8")
    names = [name for _, name in imports(source, f"rl_abn.cli.{command}")]
    assert any(name.startswith("rl_abn.rl.") for name in names)
    assert [name for name in names if name.startswith("rl_abn.vision")] == []


@pytest.mark.more
@pytest.mark.parametrize(
    ("floor", "absent"),
    [
        ("render", ["torch", "stable_baselines3", "gymnasium", "ale_py"]),
        ("record", ["torch", "stable_baselines3", "gymnasium", "ale_py", "rl_abn.rl"]),
        ("progress", ["torch", "numpy", "rl_abn.errors"]),
        ("estimates", ["torch", "scipy"]),
        ("runs", ["stable_baselines3", "gymnasium", "ale_py", "rl_abn.rl", "rl_abn.render"]),
        ("map_editing.edit_files", ["rl_abn.rl", "rl_abn.vision", "stable_baselines3"]),
    ],
)
def test_what_a_floor_brings_along(tmp_path: Path, floor: str, absent: list[str]) -> None:
    """In a fresh interpreter: what is imported by what is imported counts as well."""
    code = f"import sys, rl_abn.{floor}; print(sorted(set({absent!r}) & sys.modules.keys()))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"

"""The wheel brings its recipes along, and finds them without the checkout."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import rl_abn
from rl_abn.runs.shipped import list_shipped

CHECKOUT = Path(__file__).resolve().parents[1]
KINDS = ("agents", "envs")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="building a wheel offline takes hatchling"
)


def carried(kind: str) -> dict[str, bytes]:
    """All files of a top-level folder of recipes, trained agents included."""
    found = (file for file in (CHECKOUT / kind).rglob("*") if file.is_file())
    return {str(file.relative_to(CHECKOUT / kind)): file.read_bytes() for file in found}


def recipes(kind: str) -> list[str]:
    """Names of the recipes among them."""
    files = (Path(name) for name in carried(kind) if not name.startswith("trained/"))
    return sorted(str(file.with_suffix("")) for file in files if file.suffix == ".toml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    built = list(out.iterdir())
    assert [file.name for file in built] == [f"rl_abn-{rl_abn.__version__}-py3-none-any.whl"]
    return built[0]


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("kind", KINDS)
def test_all_recipes_and_trained_agents_are_inside(files: dict[str, bytes], kind: str) -> None:
    folder = f"rl_abn/_recipes/{kind}/"
    inside = {
        name.removeprefix(folder): data for name, data in files.items() if name.startswith(folder)
    }
    assert inside == carried(kind)
    tracks = Counter(name.startswith("vision/") for name in inside)
    assert min(tracks[False], tracks[True]) > 0


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 60e6


def test_nothing_lies_beside_the_package(files: dict[str, bytes]) -> None:
    info = f"rl_abn-{rl_abn.__version__}.dist-info"
    assert {name.partition("/")[0] for name in files} == {"rl_abn", info}
    assert not [name for name in files if name.startswith(("agents/", "envs/", "tests/", "docs/"))]


def test_every_module_and_the_typing_marker_are_there(files: dict[str, bytes]) -> None:
    modules = {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "rl_abn").rglob("*.py")}
    assert modules <= files.keys()
    assert files["rl_abn/py.typed"] == (CHECKOUT / "rl_abn" / "py.typed").read_bytes()
    assert not [name for name in files if name.endswith(".pyc") or "__pycache__" in name]


def test_the_page_of_the_viewer_is_there(files: dict[str, bytes]) -> None:
    static = CHECKOUT / "rl_abn" / "view" / "static"
    page = {str(file.relative_to(CHECKOUT)) for file in static.rglob("*") if file.is_file()}
    assert "rl_abn/view/static/index.html" in page
    assert page <= files.keys()


def test_metadata(files: dict[str, bytes]) -> None:
    info = f"rl_abn-{rl_abn.__version__}.dist-info"
    assert files[f"{info}/entry_points.txt"].decode().split("\n")[:2] == [
        "[console_scripts]",
        "rl-abn = rl_abn.cli:main",
    ]
    metadata = files[f"{info}/METADATA"].decode()
    assert f"\nVersion: {rl_abn.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert f"{info}/licenses/LICENSE" in files


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import rl_abn
from rl_abn.recipes import list_recipes, make_run_recipe, make_vision_recipe, recipe_path
from rl_abn.runs.shipped import list_shipped
pictures = make_vision_recipe("cifar10", "resnet20", 0)
recipe = make_run_recipe("seaquest", "a2c_mask", 5, ["algorithm.gamma=0.9"])
print(json.dumps({
    "package": rl_abn.__file__,
    **{kind: list_recipes(kind) for kind in ("agents", "envs", "agents/vision", "envs/vision")},
    "path": str(recipe_path("agents", "a2c_mask")),
    "rom": recipe.env.game.rom,
    "title": pictures.env.title,
    "gamma": recipe.agent.algorithm.gamma,
    "trained": list_shipped(),
}))
"""


@pytest.mark.more
def test_an_unpacked_wheel_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Another package's `agents` in the same place is none of ours.
    (site / "agents").mkdir()
    (site / "agents" / "__init__.py").touch()
    result = subprocess.run(
        [sys.executable, "-I", "-B", "-c", SCRIPT, str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(result.stdout)
    assert Path(found["package"]) == site / "rl_abn" / "__init__.py"
    assert Path(found["path"]) == site / "rl_abn" / "_recipes" / "agents" / "a2c_mask.toml"
    for kind in KINDS:
        vision = [f"vision/{name}" for name in found[f"{kind}/vision"]]
        others = [name for name in recipes(kind) if not name.startswith("translation/")]
        assert sorted(found[kind] + vision) == others
    assert found["trained"] == list_shipped()
    assert (found["rom"], found["gamma"], found["title"]) == ("seaquest", 0.9, "CIFAR-10")

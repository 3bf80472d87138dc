"""Networks of torchvision and timm from a recipe: which, with which weights, and when not."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import pytest
import torch

from rl_abn.compute.processor import has_native_bf16
from rl_abn.recipes import list_recipes, make_vision_recipe
from rl_abn.vision.data.examples import DataSet
from rl_abn.vision.models import build_model
from rl_abn.vision.training.build import VisionRun, check_recipe, load_network
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.train import Training, train
from tests.complaints import complaint
from tests.vision.models.look_alikes import (
    Asked,
    LookAlike,
    TimmLookAlike,
    put_timm,
    put_torchvision,
    trained_weights,
)
from tests.vision.tiny_sets import write_classes

IMAGENET = [name for name in list_recipes("agents/vision") if "imagenet" in name]
KINDS = {"torchvision": LookAlike, "timm": TimmLookAlike}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Asked]:
    """Packages that write down what weights were asked for."""
    return {"torchvision": put_torchvision(monkeypatch), "timm": put_timm(monkeypatch)}


@pytest.mark.parametrize("package", KINDS)
@pytest.mark.parametrize("mechanism", ["residual", "none"])
def test_a_name_and_an_architecture_make_a_network(asked, package, mechanism) -> None:
    torch.manual_seed(3)
    network = build_model(
        package, n_outputs=3, mechanism=mechanism, architecture="resnet50", stage="layer3"
    ).eval()
    attention = network.attend(torch.zeros(2, 3, 64, 64))
    assert attention.outputs.shape == (2, 3)
    assert attention.map.shape == (2, int(mechanism == "residual"), 8, 8)
    torch.manual_seed(3)
    drawn = KINDS[package]()
    assert torch.equal(network.extractor[0].weight, drawn.conv1.weight)
    assert asked[package] == []


def test_many_questions_about_a_picture(asked) -> None:
    network = build_model("torchvision", n_outputs=4, task="multilabel")
    attention = network.attend(torch.zeros(2, 3, 64, 64))
    assert attention.outputs.shape == (2, 4)
    assert attention.map.shape == (2, 4, 4, 4)


@pytest.mark.parametrize("package", KINDS)
def test_trained_weights_are_the_packages(asked, package) -> None:
    network = build_model(package, n_outputs=6, pretrained=True)
    weights = trained_weights(KINDS[package])
    assert torch.equal(network.extractor[0].weight, weights["conv1.weight"])
    assert torch.equal(network.head.weight, weights["fc.weight"])
    # The branch's stage begins with them too.
    assert torch.equal(network.branch.body[1][0].conv1.weight, weights["layer4.0.conv1.weight"])
    assert len(asked[package]) == 1


def test_torchvisions_pickles_are_read_as_tensors_and_checked(asked) -> None:
    build_model("torchvision", n_outputs=6, pretrained=True)
    assert asked["torchvision"] == [("resnet50", {"check_hash": True, "weights_only": True})]


def test_a_tag_of_timm_says_which_weights(asked) -> None:
    build_model("timm", n_outputs=6, architecture="resnet50.a1_in1k", pretrained=True)
    assert asked["timm"] == [("resnet50.a1_in1k", {})]


@pytest.mark.parametrize(
    ("package", "options", "message"),
    [
        (
            "torchvision",
            {"architecture": "resnet51"},
            "expected an architecture of torchvision, got 'resnet51': did you mean 'resnet50'?",
        ),
        (
            "timm",
            {"architecture": "resnet50.a2_in1k"},
            "expected an architecture of timm, got 'resnet50.a2_in1k': "
            "did you mean 'resnet50.a1_in1k'?",
        ),
        (
            "timm",
            {"architecture": "hf-hub:someone/else"},
            "expected an architecture of timm, got 'hf-hub:someone/else': for example resnet50",
        ),
        (
            "torchvision",
            {"architecture": "vgg16"},
            "expected a residual network of torchvision or timm, such as resnet50, "
            "got Sequential, which has no conv1",
        ),
        (
            "torchvision",
            {"architecture": "regnet"},
            "expected a residual network, such as resnet50, from torchvision, "
            "got none for 'regnet': Cannot copy out of meta tensor; no data!",
        ),
        ("timm", {"stage": "layer5"}, "expected a stage, got 'layer5': did you mean "),
        ("timm", {"pretrained": 1}, "expected timm's pretrained to be true or false, got 1"),
        ("timm", {"depth": 50}, "expected an option that timm has, got 'depth': choose one of: "),
    ],
)
def test_mistakes(asked, package, options, message) -> None:
    assert complaint(lambda: build_model(package, n_outputs=3, **options)).startswith(message)
    assert asked[package] == []


def test_a_package_that_is_missing_or_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_vision_recipe("image_folder", "resnet50_imagenet_abn", 0)
    broken = "raise RuntimeError('operator torchvision::nms does not exist\\nmore')"
    for source, got in (
        ("raise ModuleNotFoundError(\"No module named 'torchvision'\")", "No module named"),
        (broken, "operator torchvision::nms does not exist"),
    ):
        for name in ("torchvision", "torchvision.models"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        folder = tmp_path / got.split()[0] / "torchvision"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder.parent))
        message = complaint(lambda: check_recipe(recipe))
        assert message.startswith("expected the package torchvision, which builds this network, ")
        assert f"got {got}" in message
        assert message.endswith(": pip install 'rl-abn[vision]'")


@pytest.mark.parametrize("package", KINDS)
def test_weights_that_cannot_be_had(asked, package, monkeypatch) -> None:
    def no_network(*words, **options):
        if package == "torchvision" or options.get("pretrained"):
            raise URLError("[Errno -2] Name or service not known")
        return KINDS[package]()

    module, name = {
        "torchvision": ("torchvision.models", "get_model_weights"),
        "timm": ("timm", "create_model"),
    }[package]
    monkeypatch.setattr(f"{module}.{name}", no_network)
    assert complaint(lambda: build_model(package, n_outputs=3, pretrained=True)) == (
        f"expected trained weights from {package}, got none for 'resnet50': "
        "<urlopen error [Errno -2] Name or service not known>"
    )
    build_model(package, n_outputs=3)


@pytest.mark.parametrize(
    "error",
    [
        UnpicklingError("Weights only load failed. Re-running with `weights_only=False` …"),
        RuntimeError("weights_only=True blocked loading this checkpoint … retry with …=False"),
    ],
)
def test_advice_to_run_what_a_file_names_is_not_passed_on(asked, monkeypatch, error) -> None:
    def refuse(name):
        raise error

    monkeypatch.setattr("torchvision.models.get_model_weights", refuse)
    assert complaint(lambda: build_model("torchvision", n_outputs=3, pretrained=True)) == (
        "expected trained weights from torchvision, got none for 'resnet50': "
        "the file holds more than tensors"
    )


@pytest.mark.parametrize("name", IMAGENET)
def test_recipes_are_checked_without_weights(asked, name) -> None:
    recipe = make_vision_recipe("image_folder", name, 0, ["network.pretrained=true"])
    check_recipe(recipe)
    assert asked["torchvision"] == []
    assert recipe.agent.network.options["architecture"] == name.partition("_")[0]


def prepare(folder: Path, data: Path, **more) -> tuple[VisionRun, DataSet, bool]:
    return prepare_run(
        env="image_folder",
        agent="resnet50_imagenet_abn",
        seed=0,
        data=data,
        settings=[
            "network.pretrained=true",
            "pictures.size=[32,32]",
            "pictures.short_side=32",
            "train.batch_size=8",
            "train.epochs=1",
            "train.n_probes=1",
        ],
        folder=folder,
        device="cpu",
        **more,
    )


@pytest.mark.skipif(
    not has_native_bf16(torch.device("cpu")),
    reason="oneDNN corrupts the heap in this tiny network's fp32 backward pass without AVX-512",
)
def test_a_training_begins_with_trained_weights_and_nothing_after_it_asks_for_them(
    asked, tmp_path: Path
) -> None:
    calls = asked["torchvision"]
    data = write_classes(tmp_path / "set", n_train=8, n_test=2)
    run, opened, _ = prepare(tmp_path / "run", data)
    assert len(calls) == 1  # before there is a folder, so that none is left where it fails

    cpu = torch.device("cpu")
    weights = trained_weights(LookAlike)
    begun = Training(run, opened, cpu, resume=False)
    assert torch.equal(begun.network.extractor[0].weight, weights["conv1.weight"])
    # Killed before the first checkpoint, it begins with the same once more.
    again = Training(run, opened, cpu, resume=True)
    first, second = (training.network.state_dict() for training in (begun, again))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())

    train(run, opened, resume=False, device="cpu")
    calls.clear()
    trained = load_network(run)
    assert not torch.equal(trained.network.extractor[0].weight, weights["conv1.weight"])
    resumed, opened, goes_on = prepare(tmp_path / "run", data, on_exists="resume")
    assert goes_on
    train(resumed, opened, resume=True, device="cpu")
    assert calls == []


def test_no_folder_is_left_where_weights_cannot_be_had(asked, tmp_path: Path, monkeypatch) -> None:
    data = write_classes(tmp_path / "set", n_train=8, n_test=2)
    monkeypatch.delattr("torchvision.models.get_model_weights")
    assert "expected trained weights from torchvision" in complaint(
        lambda: prepare(tmp_path / "run", data)
    )
    assert not (tmp_path / "run").exists()


# What the look-alikes stand for.


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet50", 25.6), ("resnet101", 44.5), ("resnet152", 60.2)]
)
@pytest.mark.parametrize("package", KINDS)
def test_networks_of_the_packages(package, name, millions) -> None:
    """The counts are those of the papers' networks with 1,000 classes."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    with torch.device("meta"):
        network = build_model(package, n_outputs=1000, architecture=name)
        attention = network.attend(torch.zeros(1, 3, 224, 224))
    assert attention.map.shape == (1, 1, 14, 14)
    branch = sum(p.numel() for p in network.branch.parameters())
    trunk = sum(p.numel() for p in network.parameters()) - branch
    assert trunk / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize("name", IMAGENET)
def test_recipes_fit_the_package(name) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    check_recipe(make_vision_recipe("image_folder", name, 0))


def test_the_packages_refuse_what_is_no_residual_network() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    with torch.device("meta"):
        for name in ("vgg16", "regnet_y_400mf", "vit_b_16"):
            message = complaint(
                lambda n=name: build_model("torchvision", n_outputs=3, architecture=n)
            )
            assert message.startswith("expected a residual network")


def test_torchvision_takes_what_is_said_about_its_files(monkeypatch) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    weights = models.resnet18().state_dict()
    asked = []

    def load(url, **how):
        inspect.signature(torch.hub.load_state_dict_from_url).bind(url, **how)
        asked.append(how)
        return weights

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    network = build_model("torchvision", n_outputs=3, architecture="resnet18", pretrained=True)
    assert asked == [{"check_hash": True, "weights_only": True}]
    assert torch.equal(network.extractor[0].weight, weights["conv1.weight"])

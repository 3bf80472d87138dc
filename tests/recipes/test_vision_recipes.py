"""The vision track's recipes: read, overridden, resolved; mistakes are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_abn.recipes import (
    RunRecipe,
    VisionRunRecipe,
    list_recipes,
    load_data,
    load_model,
    load_run,
    make_run_recipe,
    make_vision_recipe,
    recipe_path,
    recipe_summary,
)
from rl_abn.runs import write_recipe
from rl_abn.vision.training.kinds import check_recipe
from rl_abn.vision.training.optimizer import learning_rate
from tests.complaints import complaint

MODELS, DATA = list_recipes("agents/vision"), list_recipes("envs/vision")
KINDS = {
    "celeba": "attributes",
    "car_racing": "driving",
    "car_racing_actions": "driving",
    "driving_log": "driving",
    "cifar10": "classes",
    "cifar100": "classes",
    "image_folder": "classes",
    "citypersons": "boxes",
    "coco_detection": "boxes",
    "shapes_detection": "boxes",
}
TWINS_OF_OTHER_NAMES = [
    ("driving_cnn", "driving_abn"),
    ("driving_cnn_classes", "driving_abn_classes"),
    ("multitask_cnn", "multitask_abn"),
]


def asked_by(model: str) -> str:
    if model.startswith(("driving", "pilotnet")):
        return "driving_log"
    if model.startswith("fasterrcnn"):
        return "shapes_detection"
    if "imagenet" in model:
        return "image_folder"
    return "celeba" if model.startswith("multitask") else "cifar10"


def needs(model: str) -> None:
    """Skips what takes a package that is not there; look-alikes stand in for it elsewhere."""
    package = load_model(model).network.name
    if package in ("torchvision", "timm"):
        pytest.importorskip(package, reason=f"{model} is a network of {package}, not installed")


def test_what_ships() -> None:
    assert {name: load_data(name).kind for name in DATA}.items() >= KINDS.items()
    networks = [
        *("resnet20", "resnet56", "resnet110", "se_resnet20", "vgg16_bn", "wrn_28_10"),
        *("densenet_bc_100_12", "resnext29_8x64d"),
        *(f"resnet{depth}_imagenet" for depth in (50, 101, 152)),
    ]
    others = ["pilotnet", *(pair[i] for pair in TWINS_OF_OTHER_NAMES for i in range(2))]
    assert {*networks, *(f"{name}_abn" for name in networks), *others} <= set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_fits_its_kind_of_data(model: str) -> None:
    needs(model)
    check_recipe(make_vision_recipe(asked_by(model), model, seed=3))


@pytest.mark.parametrize("model", MODELS)
def test_a_recipe_that_was_written_down_is_the_same(tmp_path: Path, model: str) -> None:
    recipe = make_vision_recipe(asked_by(model), model, seed=3)
    write_recipe(tmp_path, recipe)
    assert load_run(tmp_path / "recipe.toml", VisionRunRecipe) == recipe


@pytest.mark.parametrize("data", DATA)
def test_every_data_set_fits_a_model(data: str) -> None:
    kind = load_data(data).kind
    models = {"driving": "driving_abn", "attributes": "multitask_abn", "boxes": "fasterrcnn_abn"}
    model = models.get(kind, "resnet56")
    check_recipe(make_vision_recipe(data, model, seed=0))


@pytest.mark.parametrize(
    ("baseline", "abn"),
    [(name, f"{name}_abn") for name in MODELS if f"{name}_abn" in MODELS and name != "driving"]
    + TWINS_OF_OTHER_NAMES,
)
def test_baselines_differ_in_the_mechanism_alone(baseline: str, abn: str) -> None:
    plain, with_maps = (load_model(name) for name in (baseline, abn))
    assert plain.attention.mechanism == "none"
    assert with_maps.attention.mechanism == "residual"
    assert plain.model_copy(update={"attention": with_maps.attention}) == with_maps


def test_the_optimizers_are_the_papers() -> None:
    resnet, wide = load_model("resnet110_abn"), load_model("wrn_28_10")
    assert (resnet.train.epochs, resnet.train.batch_size) == (300, 128)
    assert (resnet.optimizer.learning_rate, resnet.optimizer.momentum) == (0.1, 0.9)
    assert resnet.optimizer.weight_decay == 1e-4
    assert [300 * at for at in resnet.optimizer.schedule.at] == [150, 225]
    assert wide.optimizer.weight_decay == 5e-4
    assert [200 * at for at in wide.optimizer.schedule.at] == pytest.approx([60, 120, 160])
    assert wide.optimizer.schedule.factor == 0.2
    assert wide.network.options == {"drop": 0.3}


@pytest.mark.parametrize("model", [name for name in MODELS if "imagenet" in name])
def test_imagenet_is_learned_as_in_the_abn_paper(model: str) -> None:
    recipe = load_model(model)
    table = recipe.optimizer
    assert (table.name, table.momentum, table.nesterov) == ("sgd", 0.9, False)
    assert table.weight_decay == 1e-4
    assert (recipe.train.epochs, recipe.train.batch_size) == (90, 256)
    epochs = (0, 29.99, 30, 59.99, 60, 89.99)
    rates = [learning_rate(table, epoch, recipe.train.epochs) for epoch in epochs]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    options = recipe.network.options
    assert (options["stage"], options["pretrained"]) == ("layer4", False)
    assert recipe.attention.mechanism == ("residual" if model.endswith("_abn") else "none")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("agents/vision", n) for n in MODELS] + [("envs/vision", n) for n in DATA],
)
def test_a_recipe_begins_with_what_it_is(kind: str, name: str) -> None:
    summary = recipe_summary(kind, name)  # type: ignore[arg-type]
    assert 8 <= len(summary) <= 120
    first_line = recipe_path(kind, name).read_text("utf-8").splitlines()[0]  # type: ignore[arg-type]
    assert first_line.startswith(f"# {summary[:40]}")


def test_settings_change_both_recipes_and_the_networks_own_options() -> None:
    settings = [
        "network.name=resnet",
        "network.depth=14",
        "optimizer.schedule.kind=cosine",
        "optimizer.schedule.at=[]",
        "pictures.size=[16,24]",
        "train.epochs=7",
    ]
    recipe = make_vision_recipe("cifar10", "resnet20_abn", 1, settings)
    assert recipe.agent.network.options == {"depth": 14}
    assert recipe.agent.train.epochs == 7
    assert recipe.env.pictures.size == (16, 24)
    check_recipe(recipe)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.epoch=3"], "--set train.epoch=3: unknown key 'train.epoch': did you mean "),
        (["epochs"], "--set epochs: expected KEY=VALUE"),
        (["train.epochs=0"], "train.epochs: expected greater than or equal to 1, got 0"),
        (["attention.mechanism=residul"], "unknown mechanism 'residul': did you mean 'residual'?"),
        (["attention.mechanism=soft"], "got 'soft', which needs an agent's LSTM"),
        (["attention.mechanism=hard"], "the nearest is 'hard_glimpses'"),
        (["edit.gamma=-1"], "edit.gamma: expected greater than or equal to 0, got -1"),
        (["optimizer.name=sdg"], "optimizer.name: expected 'sgd' or 'adam', got 'sdg'"),
        (["augment.name=driving"], "expected augment.name of pad_crop_flip"),
        (["optimizer.schedule={kind='steps'}"], "expected ascending shares of the epochs"),
        (["network.drop={a=1}"], "network.drop"),
    ],
)
def test_mistakes_in_settings(settings: list[str], message: str) -> None:
    assert message in complaint(lambda: make_vision_recipe("cifar10", "resnet20", 0, settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["network.name=resnet21"], "expected a model, got 'resnet21': did you mean 'resnet20'?"),
        (["network.deep=3"], "expected an option that resnet20 has, got 'deep'"),
        (['network.mechanism="mask"'], "expected an option that resnet20 has, got 'mechanism'"),
        (["pictures.statistics=cifar11"], "did you mean 'cifar10'?"),
        (
            ["network.task=regression"],
            "expected classification for cifar10 (classes), got 'regression'",
        ),
        (["network.name=pilotnet"], "expected frames of at least"),
        (
            ["network.name=driving_abn", "pictures.size=[66,200]"],
            "expected a data set of kind 'driving' for resnet20, which takes the vehicle's speed",
        ),
    ],
)
def test_what_no_network_fits_is_refused_before_any_data_is_read(
    settings: list[str], message: str
) -> None:
    recipe = make_vision_recipe("cifar10", "resnet20", 0, settings)
    assert message in complaint(lambda: check_recipe(recipe))


def test_a_fold_is_one_of_k() -> None:
    settings = ["folds.fold=5"]
    assert "expected a fold of 0 to 4, got 5" in complaint(
        lambda: make_vision_recipe("driving_log", "driving_abn", 0, settings)
    )


def test_names_of_the_other_track_lead_there() -> None:
    assert complaint(lambda: make_vision_recipe("pong", "resnet20", 0)) == (
        "expected a data set, got 'pong', an env, which is for 'rl-abn train'"
    )
    assert complaint(lambda: make_run_recipe("pong", "resnet20", 0)) == (
        "expected an agent, got 'resnet20', a vision model, which is for 'rl-abn vision train'"
    )
    assert complaint(lambda: make_vision_recipe("cifar10", "resnt20", 0)) == (
        "unknown vision model 'resnt20': did you mean 'resnet20'?"
    )
    pong = str(recipe_path("envs", "pong"))
    assert pong in complaint(lambda: make_vision_recipe(pong, "resnet20", 0))


@pytest.mark.parametrize("tracks", [(RunRecipe, VisionRunRecipe), (VisionRunRecipe, RunRecipe)])
def test_a_run_of_one_track_names_the_others_command(
    tmp_path: Path, tracks: tuple[type, type]
) -> None:
    mine, other = tracks
    vision = mine is VisionRunRecipe
    recipe = (
        make_vision_recipe("cifar10", "resnet20", 0)
        if vision
        else make_run_recipe("pong", "ppo_abn_paper", 0)
    )
    write_recipe(tmp_path, recipe)
    command = "rl-abn vision eval" if vision else "rl-abn eval"
    message = complaint(lambda: load_run(tmp_path / "recipe.toml", other))
    assert message.endswith(f"; use '{command} {tmp_path}'")

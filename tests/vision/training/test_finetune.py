"""Fine-tuning to edited maps, and the set with the planted shortcut."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.map_editing.edits import Box, Edit, Edits
from rl_abn.vision.data import HeldPictures
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.data.shortcut import COLOURS, PATCH, SIZE, make_shortcut_set, shortcut_edits
from rl_abn.vision.evaluation.shortcut_study import study_shortcut
from rl_abn.vision.models import build_model
from rl_abn.vision.training.finetune import Examples, finetune

PREPARE = partial(normalise, statistics="half")
SET = make_shortcut_set(32, seed=0, planted=True)
EXAMPLES = Examples(SET.pictures, SET.targets, SET.names)


def network(mechanism="mask", seed=0, **options):
    torch.manual_seed(seed)
    return build_model("resnet", n_outputs=4, depth=8, mechanism=mechanism, **options)


def tuned(made, edits=None, **options):
    options = {"gamma": 1.0, "epochs": 2, "batch_size": 16, "learning_rate": 0.05, **options}
    edits = shortcut_edits(SET, 32) if edits is None else edits
    return finetune(made, EXAMPLES, edits, prepare=PREPARE, **options)


def test_only_the_branch_the_perception_and_the_head_change():
    made = network().train()
    made.extractor[0].eval()
    modes = [module.training for module in made.modules()]
    before = deepcopy(made.state_dict())
    tuned(made)
    changed = {name for name, tensor in made.state_dict().items() if (tensor != before[name]).any()}
    # All that is left behind the split changes, and nothing of the extractor: statistics neither.
    assert changed == {name for name in before if not name.startswith("extractor.")}
    assert [module.training for module in made.modules()] == modes
    assert all(parameter.requires_grad for parameter in made.parameters())


def test_maps_come_nearer_to_the_edited_ones_and_without_gamma_they_do_not():
    result = tuned(network(), gamma=5.0, epochs=5, held_out=EXAMPLES)
    assert result.after.map_loss < 0.8 * result.before.map_loss
    assert 0 <= result.before.score <= 1
    without = tuned(network(), gamma=0.0, epochs=5)
    assert without.before.map_loss == pytest.approx(result.before.map_loss)
    assert without.after.map_loss > result.after.map_loss + 0.5
    assert without.after.score is None


def test_the_distance_is_measured_to_the_map_before():
    made = network()
    edits = Edits({SET.names[3]: Edit(remove=(Box(0, 0, SIZE, SIZE),))})
    with torch.no_grad():
        own = made.eval().attend(PREPARE(SET.pictures.read(torch.tensor([3])))).map
    result = tuned(made, edits, epochs=1)
    assert result.before.map_loss == pytest.approx(float(own.norm()), rel=1e-5)
    assert tuned(network(), Edits(), epochs=1).before.map_loss == 0


def test_maps_that_sum_to_1_are_tuned_to_maps_that_do():
    made = network(mechanism_options={"map_form": "softmax"}).eval()
    with torch.no_grad():
        own = made.attend(PREPARE(SET.pictures.read(torch.tensor([3])))).map[0]
    scaled = Edits({SET.names[3]: Edit(map=(own / own.max()).numpy())})
    assert tuned(made, scaled, epochs=1).before.map_loss == pytest.approx(0, abs=1e-6)
    added = tuned(network(mechanism_options={"map_form": "softmax"}), gamma=5.0, epochs=5)
    assert added.before.map_loss < 2**0.5  # no two maps that sum to 1 are further apart
    assert added.after.map_loss < added.before.map_loss


def test_it_is_reproducible_and_leaves_the_global_generator_alone():
    ends = []
    for _ in range(2):
        made = network(dropout=0.3)
        torch.manual_seed(len(ends))
        expected = torch.rand(3, generator=torch.Generator().manual_seed(len(ends)))
        tuned(made, seed=7)
        assert torch.equal(torch.rand(3), expected)
        ends.append(made.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_other_tasks_are_fine_tuned_too(task):
    side = 32 if task == "multilabel" else 66
    pixels = torch.randint(256, (8, side, side, 3), dtype=torch.uint8)
    names = [str(i) for i in range(8)]
    speed = None
    torch.manual_seed(0)
    if task == "multilabel":
        made = build_model("resnet", n_outputs=3, depth=8, task="multilabel")
        targets = (torch.rand(8, 3) > 0.5).float()
    else:
        made = build_model("driving_abn", n_outputs=2, size=(66, 66))
        targets, speed = torch.rand(8, 2), torch.rand(8)
    examples = Examples(HeldPictures(pixels), targets, names, speed)
    edits = Edits({"1": Edit(add=(Box(0, 0, 20, 20),)), "5": Edit(remove=(Box(0, 0, 32, 32),))})
    result = finetune(
        made, examples, edits, prepare=PREPARE, gamma=5.0, epochs=8, held_out=examples, batch_size=4
    )
    assert result.after.map_loss < result.before.map_loss
    assert result.after.score > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1.0}, "gamma to be 0 or more, got -1.0"),
        ({"gamma": float("nan")}, "gamma"),
        ({"epochs": 0}, "epochs from 1"),
        ({"learning_rate": 1e30}, "a lower learning rate"),
        ({"edits": Edits({"0000.png": Edit()})}, "did you mean"),
    ],
)
def test_mistakes_get_one_line(options, message):
    with pytest.raises(RlAbnError, match=message):
        tuned(network(), **options)


def test_a_no_attention_baseline_has_no_maps_to_edit():
    with pytest.raises(RlAbnError, match="got a no-attention baseline"):
        tuned(network("none"))


def test_the_patch_gives_the_class_away_only_where_it_is_planted():
    def colours(shortcut):
        corner = shortcut.pictures.read(torch.arange(len(shortcut.targets)))[:, :, 1:8, 1:8]
        mean = corner.float().mean((2, 3))
        return (mean[:, None] - torch.tensor(COLOURS).float()).norm(dim=2).argmin(1)

    assert torch.equal(colours(SET), SET.targets)
    random = make_shortcut_set(400, seed=1, planted=False)
    agreement = (colours(random) == random.targets).float().mean()
    assert 0.15 < agreement < 0.35
    again = make_shortcut_set(400, seed=1, planted=False).pictures.read(torch.arange(400))
    assert torch.equal(again, random.pictures.read(torch.arange(400)))
    for box in random.objects:
        assert box.left >= PATCH.right or box.top >= PATCH.bottom
        assert min(box.left, box.top) >= 0
        assert max(box.right, box.bottom) <= SIZE + 1


def test_edits_remove_the_patch_and_add_the_shape():
    own = torch.full((32, 1, 16, 16), 0.5)
    edited = shortcut_edits(SET, 32).apply(own, (SIZE, SIZE))
    box = SET.objects[0]
    y, x = int((box.top + box.bottom) / 4), int((box.left + box.right) / 4)
    assert edited[0, 0, y, x] == 1
    assert edited[:, 0, :4, :4].max() < 1
    random = shortcut_edits(SET, 32, "random").apply(own, (SIZE, SIZE))
    assert (random - edited).abs().mean() > 0.1
    assert list(shortcut_edits(SET, 5).of) == list(SET.names[:5])


@pytest.mark.more
def test_the_study_has_its_controls():
    result = study_shortcut("mask", 0, n_train=32, n_test=16, epochs=1, tuning_epochs=1)
    arms = (result.unedited, result.edited, result.random)
    assert len({arm.before.score for arm in arms}) == 1
    assert result.unedited.before.map_loss == 0 < result.random.before.map_loss
    assert result == study_shortcut("mask", 0, n_train=32, n_test=16, epochs=1, tuning_epochs=1)

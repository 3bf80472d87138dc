import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rl_abn.errors import RlAbnError
from rl_abn.vision.models import attach_abn
from tests.vision.models.look_alikes import (
    Block,
    LookAlike,
    TimmLookAlike,
    averaged,
    look_alike,
    shortcut,
)

IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [LookAlike, TimmLookAlike])
@pytest.mark.parametrize("down", [shortcut, averaged])
def test_the_map_is_14x14_and_the_trained_network_is_in_it(kind, down):
    """Fukui et al. for ImageNet: layer4 at stride 1; a map of zeros leaves the model as it was."""
    model = look_alike(kind, down=down)
    expected = model(IMAGES)
    network = attach_abn(model).eval()
    attention = network.attend(IMAGES, map_override=torch.zeros_like)
    assert attention.map.shape == (2, 1, 14, 14)
    assert attention.evidence.shape == (2, 6, 14, 14)
    assert torch.equal(attention.outputs, expected)
    assert torch.equal(attach_abn(model, mechanism="none").eval().attend(IMAGES).outputs, expected)


def test_the_branch_starts_with_the_stages_weights_and_then_has_its_own():
    model = look_alike()
    network = attach_abn(model)
    body = network.branch.body[1]
    stage = model.layer4.state_dict()
    copy = body.state_dict()
    assert stage.keys() == copy.keys()
    assert all(torch.equal(copy[name], tensor) for name, tensor in stage.items())
    assert not {p.data_ptr() for p in body.parameters()} & {
        p.data_ptr() for p in model.parameters()
    }
    assert model.layer4[0].conv1.stride == (2, 2)
    assert body[0].conv1.stride == body[0].downsample[0].stride == (1, 1)


def test_extractor_and_perception_are_the_models_own_layers():
    model = look_alike()
    network = attach_abn(model)
    theirs = {id(parameter) for parameter in model.parameters()}
    trunk = [network.extractor, network.perception, network.head]
    assert {id(p) for part in trunk for p in part.parameters()} == theirs
    assert network.head is model.fc


@pytest.mark.parametrize(
    ("stage", "side"), [("layer4", 14), ("layer3", 28), ("layer2", 56), ("layer1", 56)]
)
def test_any_stage_can_be_copied(stage, side):
    model = look_alike()
    expected = model(IMAGES)
    network = attach_abn(model, stage).eval()
    attention = network.attend(IMAGES, map_override=torch.zeros_like)
    assert attention.map.shape == (2, 1, side, side)
    assert torch.equal(attention.outputs, expected)


def test_other_classes_get_a_new_last_layer_and_keep_the_rest():
    model = look_alike()
    network = attach_abn(model, "layer4", 3)
    assert network.attend(IMAGES).outputs.shape == (2, 3)
    assert network.head is not model.fc
    assert network.perception[1][0] is model.layer4
    assert attach_abn(model, "layer4", 6).head is model.fc


def test_every_parameter_learns():
    network = attach_abn(look_alike()).train()
    attention = network.attend(IMAGES)
    labels = torch.tensor([1, 4])
    loss = F.cross_entropy(attention.outputs, labels)
    (loss + F.cross_entropy(attention.branch_outputs, labels)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_attaching_leaves_the_model_as_it_was():
    model = look_alike().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    attach_abn(model)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


def without(name):
    model = look_alike()
    delattr(model, name)
    return model


def with_other(name, layer):
    model = look_alike()
    setattr(model, name, layer)
    return model


@pytest.mark.parametrize(
    ("model", "stage", "message"),
    [
        (look_alike(), "layr4", "expected a stage, got 'layr4': did you mean 'layer4'"),
        (nn.Linear(3, 3), "layer4", "torchvision or timm, such as resnet50, got Linear, .* conv1"),
        (without("relu"), "layer4", "got LookAlike, which has no relu or act1"),
        (without("layer3"), "layer4", "which has no layer3"),
        (with_other("fc", nn.Identity()), "layer4", "whose fc is a fully .* layer, got Identity"),
        (with_other("layer4", nn.ReLU()), "layer4", "convolutions in layer4, got ReLU"),
        (
            with_other("layer4", nn.Sequential(nn.Conv2d(16, 32, 3))),
            "layer4",
            "keeps the size of an 8x8 map at stride 1, got 6x6",
        ),
        (
            with_other("layer4", Block(16, 32, 1, nn.Conv2d(16, 32, 3))),
            "layer4",
            "keeps the size of an 8x8 map at stride 1, got The size of tensor",
        ),
    ],
)
def test_what_cannot_be_attached_to_is_refused_in_one_line(model, stage, message):
    with pytest.raises(RlAbnError, match=message) as caught:
        attach_abn(model, stage)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_imagenet_networks_of_the_libraries(library, name):
    found = pytest.importorskip(library)
    with torch.device("meta"):
        model = getattr(found.models, name)()
        network = attach_abn(model)
        attention = network.attend(torch.zeros(1, 3, 224, 224))
    assert attention.map.shape == (1, 1, 14, 14)
    assert attention.outputs.shape == (1, 1000)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_network_of_the_libraries_is_left_as_it_was(library):
    model = pytest.importorskip(library).models.resnet18().eval()
    network = attach_abn(model).eval()
    with torch.no_grad():
        outputs = network.attend(IMAGES[:1], map_override=torch.zeros_like).outputs
        assert torch.equal(outputs, model(IMAGES[:1]))

"""Residual networks of torchvision and timm as backbones, by the names they have there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from torch import nn

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.text import brief
from rl_abn.vision.models.attach import AttachedBackbone

EXAMPLE = "resnet50"


class TorchvisionBackbone(AttachedBackbone):
    """A residual network of torchvision; see `attach_abn`.

    Args:
        architecture: A name in `torchvision.models.list_models`, such as "resnet50".
        stage: The stage that the branch copies, "layer1" to "layer4".
        pretrained: Whether it begins with the weights that torchvision has for it (its DEFAULT),
            which are downloaded and checked by their hash.

    Raises:
        RlAbnError: If torchvision is missing, the architecture is unknown or no such network, the
            stage is unknown or cannot keep its size, or the weights cannot be had.
    """

    def __init__(
        self, architecture: str = EXAMPLE, stage: str = "layer4", pretrained: bool = False
    ) -> None:
        models = load_package("torchvision.models")
        _check(architecture, models.list_models(module=models), "torchvision")
        with one_line(architecture, "torchvision"):
            model: nn.Module = models.get_model(architecture, weights=None)
        if pretrained:
            with one_line(architecture, "torchvision", weights=True):
                weights = models.get_model_weights(architecture).DEFAULT
                # The files are pickles, of which torchvision by itself would run what they name.
                model.load_state_dict(weights.get_state_dict(check_hash=True, weights_only=True))
        super().__init__(model, stage)


class TimmBackbone(AttachedBackbone):
    """A residual network of timm; see `attach_abn`.

    Args:
        architecture: A name in `timm.list_models`, such as "resnet50"; with a tag behind a dot,
            such as "resnet50.a1_in1k", it says which trained weights are meant.
        stage: The stage that the branch copies, "layer1" to "layer4".
        pretrained: Whether it begins with the weights that timm has for it, which it downloads.

    Raises:
        RlAbnError: If timm is missing, the architecture is unknown or no such network, the stage
            is unknown or cannot keep its size, or the weights cannot be had.
    """

    def __init__(
        self, architecture: str = EXAMPLE, stage: str = "layer4", pretrained: bool = False
    ) -> None:
        timm = load_package("timm")
        # Only names on its list: of others, such as "hf-hub:…", it would ask the network.
        _check(architecture, timm.list_models(include_tags="." in architecture), "timm")
        with one_line(architecture, "timm", weights=pretrained):
            model: nn.Module = timm.create_model(architecture, pretrained=pretrained)
        super().__init__(model, stage)


def load_package(name: str) -> ModuleType:
    """Imports a package that builds networks, or a module of it.

    Raises:
        RlAbnError: If it is missing or was made for another torch.
    """
    try:
        return import_module(name)
    except Exception as error:  # one made for another torch raises more than ImportError
        raise RlAbnError(
            f"expected the package {name.partition('.')[0]}, which builds this network, "
            f"got {brief(error)}: pip install 'rl-abn[vision]'"
        ) from None


def _check(architecture: str, names: Iterable[str], package: str) -> None:
    choices = list(names)
    if architecture not in choices:
        raise RlAbnError(
            f"expected an architecture of {package}, got '{architecture}': "
            f"{did_you_mean(architecture, choices, f'for example {EXAMPLE}')}"
        )


@contextmanager
def one_line(architecture: str, package: str, *, weights: bool = False) -> Iterator[None]:
    """Makes one line of whatever a package raises on its way to a network or its weights."""
    try:
        yield
    except Exception as error:
        wanted = "trained weights" if weights else f"a residual network, such as {EXAMPLE},"
        # What torch and timm say of a refused file tells people how to load it in spite of that.
        refused = "weights only" in str(error).lower().replace("_", " ")
        why = "the file holds more than tensors" if refused else brief(error)
        raise RlAbnError(
            f"expected {wanted} from {package}, got none for '{architecture}': {why}"
        ) from None

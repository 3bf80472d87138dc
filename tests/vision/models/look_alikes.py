"""Small networks and packages with the names of torchvision's and timm's."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn


class Block(nn.Module):
    """A basic block with torchvision's names."""

    def __init__(self, n_in, n_out, stride, downsample):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def shortcut(n_in, n_out, stride):
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


def averaged(n_in, n_out, stride):
    """As in a ResNet-D of timm: average pooling makes it small."""
    return nn.Sequential(
        nn.AvgPool2d(stride, stride), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
    )


class LookAlike(nn.Module):
    """A small network with the layers and names of torchvision's ResNet."""

    def __init__(self, n_classes=6, down=shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(4, 4, 1, down)
        self.layer2 = self._stage(4, 8, 2, down)
        self.layer3 = self._stage(8, 16, 2, down)
        self.layer4 = self._stage(16, 32, 2, down)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(32, n_classes)

    def _stage(self, n_in, n_out, stride, down):
        downsample = None if stride == 1 else down(n_in, n_out, stride)
        return nn.Sequential(Block(n_in, n_out, stride, downsample), Block(n_out, n_out, 1, None))

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class TimmLookAlike(LookAlike):
    """timm's names, and its pooling, which flattens."""

    def __init__(self, **options):
        super().__init__(**options)
        self.act1 = self.relu
        self.global_pool = nn.Sequential(self.avgpool, nn.Flatten())
        del self.relu, self.avgpool

    def forward(self, x):
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.global_pool(x))


def look_alike(kind=LookAlike, **options):
    """With weights and statistics that are nobody's first ones."""
    torch.manual_seed(0)
    model = kind(**options)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return model.eval()


class Asked(list):
    """What was asked for weights, in order: architecture and how."""


def put_torchvision(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Puts a package into torchvision's place that has two networks."""
    asked, models = Asked(), ModuleType("torchvision.models")

    def list_models(module=None):
        assert module is models  # all others detect or segment
        return ["resnet50", "resnet101", "resnet152", "regnet", "vgg16"]

    def get_model(name, weights):
        assert weights is None
        if name == "regnet":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!\nmore")
        return nn.Sequential(nn.Linear(3, 3)) if name == "vgg16" else LookAlike()

    def get_model_weights(name):
        def get_state_dict(**how):
            asked.append((name, how))
            return trained_weights(LookAlike)

        return SimpleNamespace(DEFAULT=SimpleNamespace(get_state_dict=get_state_dict))

    for function in (list_models, get_model, get_model_weights):
        setattr(models, function.__name__, function)
    package = ModuleType("torchvision")
    package.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return asked


def put_timm(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Puts a package into timm's place that has one network, with one set of weights."""
    asked, timm = Asked(), ModuleType("timm")

    def list_models(include_tags=None):
        return ["resnet50.a1_in1k"] if include_tags else ["resnet50"]

    def create_model(name, pretrained=False):
        assert not name.startswith("hf-hub:")  # which would ask the network
        model = TimmLookAlike()
        if pretrained:
            asked.append((name, {}))
            model.load_state_dict(trained_weights(TimmLookAlike))
        return model

    for function in (list_models, create_model):
        setattr(timm, function.__name__, function)
    monkeypatch.setitem(sys.modules, "timm", timm)
    return asked


def trained_weights(kind) -> dict[str, torch.Tensor]:
    """The weights that both packages have."""
    with torch.random.fork_rng(devices=[]):
        return look_alike(kind).state_dict()

"""What counts as native bfloat16, by what a processor or GPU says it has."""

import os

import pytest
import torch

from rl_abn.compute import processor
from rl_abn.compute.processor import has_native_bf16, resolve_precision, usable_cores

CPU = torch.device("cpu")


def has(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_a_processor_with_the_instructions(monkeypatch, instructions):
    has(monkeypatch, **{"avx512_f": True, instructions: True})
    assert has_native_bf16(CPU)
    assert resolve_precision("auto", CPU) == "bf16"


def test_a_processor_that_would_emulate_them(monkeypatch):
    has(monkeypatch, avx512_f=True, avx512_bf16=False, amx_bf16=False, neon=True)
    assert not has_native_bf16(CPU)
    assert resolve_precision("auto", CPU) == "fp32"


def test_without_onednn_nothing_uses_the_instructions(monkeypatch):
    has(monkeypatch, avx512_bf16=True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_native_bf16(CPU)


def test_a_pytorch_that_cannot_tell_means_fp32(monkeypatch):
    has(monkeypatch, avx512_bf16=True)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 5), False), ((8, 0), True), ((8, 9), True), ((10, 0), True)]
)
def test_gpus_from_ampere_on(monkeypatch, capability, native):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_native_bf16(torch.device("cuda")) is native


def test_other_devices_count_as_none():
    assert not has_native_bf16(torch.device("meta"))


def test_what_is_asked_for_stays(monkeypatch):
    monkeypatch.setattr(processor, "has_native_bf16", lambda device: pytest.fail("not asked"))
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"


def test_usable_cores_are_those_of_this_process():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)

"""Describes the machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from rl_abn.compute.processor import has_native_bf16, usable_cores
from rl_abn.runs import provenance


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Returns what a speed depends on: processor, device, load, versions, command line."""
    found = provenance(str(device))
    on_gpu = device.type == "cuda"
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "device_name": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "native_bf16": has_native_bf16(device),
        "load": os.getloadavg()[0],
        **{key: found[key] for key in ("device", "platform", "versions", "commit")},
        **{key: found[key] for key in ("command", "started")},
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Returns the description as one line."""
    versions = machine["versions"]
    packages = ("torch", "stable-baselines3", "ale-py")
    bf16 = " with native bf16" if machine.get("native_bf16") else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores; device {machine['device_name']}{bf16}; "
        + ", ".join(f"{package} {versions[package]}" for package in packages)
        + f"; load {machine['load']:.1f} at the start"
    )


def cpu_model() -> str:
    """Returns the processor's name as reported by the system."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text("utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()

"""Makes a translation's run folder and opens its domains, or finds the run to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from rl_abn.command_line import typed_or
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, printable
from rl_abn.recipes import TranslationRunRecipe, make_translation_recipe
from rl_abn.runs import OnExists, Run, check_free, default_folder, free_folder, write_output
from rl_abn.runs.holding import hold, let_go_on_failure
from rl_abn.runs.resume import run_to_resume
from rl_abn.vision.translation.attention_maps import AttentionMaps
from rl_abn.vision.translation.domains import (
    DOMAINS,
    Domain,
    KnownDomains,
    KnownNetwork,
    layout_of,
    open_domain,
)

TranslationRun = Run[TranslationRunRecipe]


class Material(NamedTuple):
    """What a translation is trained on.

    Attributes:
        source: The domain that is translated to the target.
        target: The other.
        maps: The network's; None without one.
        device: Where all of it is.
    """

    source: Domain
    target: Domain
    maps: AttentionMaps | None
    device: torch.device


def prepare_run(
    *,
    agent: str = "cyclegan",
    seed: int = 0,
    source: Path | None = None,
    target: Path | None = None,
    network: Path | None = None,
    settings: Sequence[str] = (),
    folder: Path | None = None,
    on_exists: OnExists | None = None,
    device: str = "auto",
) -> tuple[TranslationRun, Material, bool]:
    """Makes a run's folder, or finds the one to go on with, and opens its domains.

    The folder is locked, for `train` to give free.

    Args:
        agent: Name or path of the translator's recipe.
        seed: Seed of everything random.
        source: Where the source's pictures lie; None is where they lay when the run was begun.
        target: The target's.
        network: The run of the network whose maps are to stay; None is none, or the run's.
        settings: Overrides such as "loss.consistency=2".
        folder: The run folder; None is runs/SOURCE-to-TARGET/TRANSLATOR/seed-S.
        on_exists: What to do where a run is already.
        device: Where the networks run.

    Returns:
        The run, its domains, and whether it goes on.

    Raises:
        RlAbnError: If a recipe, a setting, a domain or the network is wrong, or a run is there and
            `on_exists` does not say what to do.
    """
    where = device_of(device)
    known = _known(folder) if on_exists == "resume" else None
    if known is not None:
        source, target = source or Path(known.source.path), target or Path(known.target.path)
    if source is None or target is None:
        missing = "--source" if source is None else "--target"
        raise RlAbnError(f"expected {missing} PATH, where one domain's pictures lie, got none")
    title = f"{_name(source)}-to-{_name(target)}"
    if known is not None and folder is not None:  # the pictures may lie elsewhere now
        title = Run.open(folder, TranslationRunRecipe).recipe.env_name
    recipe = make_translation_recipe(title, agent, seed, settings)
    folder = folder or default_folder(recipe)
    run = run_to_resume(folder, recipe, settings, device, on_exists)
    if run is not None:
        with let_go_on_failure(folder):
            known = _known(folder)
            used = None if known is None else known.network
            network = network or (None if used is None else Path(used.path))
            epoch = None if used is None else used.epoch
            material = _open(run.recipe, source, target, network, where, epoch)
            _check_same(run, material, network)
            return run, material, True
    check_free(folder, on_exists)  # before pictures are read
    material = _open(recipe, source, target, network, where)
    folder = free_folder(folder, on_exists)
    with let_go_on_failure(folder):
        words = ["vision", "translate", "train", "--agent", agent, "--seed", str(seed)]
        words += ["--source", str(source), "--target", str(target)]
        words += [] if network is None else ["--network", str(network)]
        run = Run.create(folder, recipe, device, command=typed_or(*words, settings=settings))
        hold(folder)
        write_output(folder / DOMAINS, _to_keep(material, network).model_dump(mode="json"))
        return run, material, False


def _open(
    recipe: TranslationRunRecipe,
    source: Path,
    target: Path,
    network: Path | None,
    device: torch.device,
    epoch: int | None = None,
) -> Material:
    if network is None and recipe.agent.loss.consistency > 0:
        raise RlAbnError(
            "expected --network RUN, whose maps are to stay the same, or --consistency 0 for "
            "CycleGAN without it, got neither"
        )
    for path in (source, target):
        layout_of(path)  # complains before any picture is read
    size = recipe.agent.pictures.size
    first, second = (open_domain(path, size, device) for path in (source, target))
    maps = None if network is None else AttentionMaps(network, first.stored, device, epoch)
    return Material(first, second, maps, device)


def _known(folder: Path | None) -> KnownDomains | None:
    if folder is None or not (folder / DOMAINS).is_file():
        return None
    return KnownDomains.load(folder)


def _to_keep(material: Material, network: Path | None) -> KnownDomains:
    used = None
    if network is not None and material.maps is not None:
        used = KnownNetwork(
            path=str(network.resolve()),
            epoch=material.maps.epoch,
            weights_sha256=material.maps.weights_sha256,
        )
    return KnownDomains(source=material.source.known, target=material.target.known, network=used)


def _check_same(run: TranslationRun, material: Material, network: Path | None) -> None:
    now = _to_keep(material, network)
    if not (run.path / DOMAINS).is_file():  # killed before it was written
        write_output(run.path / DOMAINS, now.model_dump(mode="json"))
        return
    was = KnownDomains.load(run.path)
    for name in ("source", "target"):
        before, here = getattr(was, name), getattr(now, name)
        if before.model_copy(update={"path": here.path}) != here:
            raise RlAbnError(
                f"{run.path}: expected the {name} the run was begun with, {before.n:,} pictures, "
                f"got {here.n:,}, or others; use --on-exists new"
            )
    kept, given = (None if k.network is None else k.network.weights_sha256 for k in (was, now))
    if kept != given:
        raise RlAbnError(
            f"{run.path}: expected {'no network' if kept is None else 'the same network'} as when "
            "the run was begun, got another; use --on-exists new"
        )


def _name(path: Path) -> str:
    """Returns what a domain is called in a run folder."""
    name = path.resolve().name
    return printable(name.removesuffix(".zip").removesuffix(".csv"))[:100] or "pictures"

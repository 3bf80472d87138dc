"""Explains a run's network: is its map used, is it right, is it better than simple ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rl_abn import __version__
from rl_abn.attention import Intervention
from rl_abn.compute.device import device_of
from rl_abn.estimates import Estimate, mean
from rl_abn.explain.cells import grid_of, to_cells
from rl_abn.explain.certificate import (
    Certificate,
    Lost,
    better_line,
    objects_line,
    right_line,
    sane_line,
    used_line,
)
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.examples import example_sheet
from rl_abn.explain.findings import findings
from rl_abn.explain.methods import possible
from rl_abn.explain.parts import Part, Parts
from rl_abn.explain.randomisation import MakeMap, layers_of
from rl_abn.explain.report import (
    Block,
    Chart,
    Explanation,
    Picture,
    Table,
    map_tables,
    methods_said,
    sanity_blocks,
    write_explanation,
)
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.study import QUICK, Study, Thoroughness, study
from rl_abn.explain.study import work_of as study_work
from rl_abn.explain.subject import Answer, Subject
from rl_abn.explain.work import Work
from rl_abn.progress import ProgressReport
from rl_abn.vision.evaluation.evaluate import evaluate_run
from rl_abn.vision.evaluation.splits import SplitName, open_split, usual_split
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.training.build import Trained, VisionRun, load_network
from rl_abn.vision.training.prepare import data_of

EXPLANATIONS = "explanations"
FULL_HOW = Thoroughness(substrates=("blur", "mean", "noise"))
QUICK_HOW = replace(QUICK, substrates=("blur", "mean"))
FULL_INTERVENTIONS = (
    "uniform", "time_average", "swap", "shifted", "shuffled", "inverted", "zero",
)  # fmt: skip
QUICK_INTERVENTIONS = ("uniform", "swap")


class VisionExtent(NamedTuple):
    """How much an explanation does.

    Attributes:
        pictures: On which maps are tested, spread over the split.
        interventions: On the maps, over the whole split.
        how: Of the study of maps.
        quick: Whether it is the quick one.
    """

    pictures: int = 256
    interventions: tuple[str, ...] = FULL_INTERVENTIONS
    how: Thoroughness = FULL_HOW
    quick: bool = False


FULL_EXTENT = VisionExtent()
QUICK_EXTENT = VisionExtent(48, QUICK_INTERVENTIONS, QUICK_HOW, quick=True)


class _Asked(NamedTuple):
    """Pictures as a network takes them and as they are shown.

    Attributes:
        images: float32 [N, 3, H, W], normalised.
        speed: [N], or None.
        pixels: uint8 [N, H, W, 3].
        numbers: In the split, int64 [N].
        n_split: Pictures of the split.
    """

    images: Tensor
    speed: Tensor | None
    pixels: np.ndarray
    numbers: np.ndarray
    n_split: int


def explain_network(
    run: VisionRun,
    extent: VisionExtent = FULL_EXTENT,
    *,
    data: Path | None = None,
    split: SplitName | None = None,
    out: Path | None = None,
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> tuple[Path, Path, Explanation]:
    """Explains a run's network and writes what was found.

    Parts that are finished are kept in the folder; what is cut off goes on where it was.

    Args:
        run: Whose network.
        extent: How much is done.
        data: Where the data lies; None is where it lay in training.
        split: "test" or "held_out"; None is the test pictures, where there are any.
        out: The folder; None is explanations/ in the run folder.
        step: The checkpoint's epoch; None is the newest.
        seed: Of everything that is drawn.
        device: Where the network runs.
        report: Progress display, in shares of the work.

    Returns:
        The page, the file of numbers, and what stands in them.

    Raises:
        RlAbnError: If the checkpoint or the data cannot be used, or the folder not be written.
    """
    trained = load_network(run, step=step, device=device_of(device))
    path = data or data_of(run)
    split = split or usual_split(run, path)
    asked = _pictures(run, trained, path, split, extent.pictures)
    network = trained.network
    has_maps = run.recipe.agent.attention.has_maps
    interventions = extent.interventions if has_maps else ()
    subject = network_subject(network, asked.images, asked.speed)
    folder = out or run.path / EXPLANATIONS / (
        f"epoch-{trained.checkpoint.step}-{'quick' if extent.quick else 'full'}-{seed}"
    )
    n_layers, n_cells = len(layers_of(network)), subject.grid[0] * subject.grid[1]
    weights = study_work(subject.n, n_cells, n_layers, extent.how)
    removal = weights.pop("removal")
    n_tested = len(possible(subject, subject.answers())) + len(CONTROLS) + 2
    weights |= {f"removal-{i}": removal for i in range(n_tested)}
    weights["scores"] = asked.n_split * (1 + len(interventions))
    weights["pictures"] = subject.n * len(interventions)
    work = Work(weights, report)
    inputs = {
        "epoch": trained.checkpoint.step,
        "weights": _digest(network),
        "split": split,
        "pictures": asked.numbers.tolist(),
        "seed": seed,
    }
    parts = Parts(folder / "parts", inputs, work.part_done)
    own = own_maps(subject, network)
    scores = parts.do(
        "scores",
        lambda: _scores(run, path, split, interventions, trained.checkpoint.step, seed, device),
        interventions=list(interventions),
        data=str(path),
    ).result
    fixed: dict[str, np.ndarray] = {}
    if has_maps:
        fixed = parts.do(
            "pictures", lambda: _fixed(network, subject, asked, extent.interventions, seed),
            interventions=list(interventions),
        ).arrays  # fmt: skip
    tested = study(parts, subject, own, extent.how, seed=seed, tick=work.tell)
    explanation = _explanation(run, trained, extent, split, asked, scores, fixed, tested, seed)
    work.finish()
    return (*write_explanation(folder, explanation), explanation)


def network_subject(network: VisionNetwork, images: Tensor, speed: Tensor | None = None) -> Subject:
    """Returns a network and pictures as `rl_abn.explain` takes them.

    What is explained of a classifier is its class, of a network with several tasks the task that
    it is surest of, of a driver its steering.

    Args:
        network: In evaluation mode.
        images: float32 [N, 3, H, W], normalised.
        speed: The vehicle's, [N]; None for a network that takes none.
    """
    with torch.no_grad():
        first = _attend(network, images[:1], speed, torch.zeros(1, dtype=torch.int64))
        rows, columns = network.extract(images[:1]).shape[-2:]
        surest: Tensor | None = None
        if network.task.map_per_output:
            everything = torch.arange(len(images))
            parts = [
                _attend(network, some, speed, which).outputs
                for some, which in zip(images.split(64), everything.split(64), strict=True)
            ]
            surest = torch.cat(parts).abs().argmax(dim=1)
    if network.abilities.maps == "spatial" and first.map.shape[1]:
        rows, columns = first.map.shape[-2:]
    return _subject(network, images, speed, surest, grid_of(rows, columns))


def _subject(
    network: VisionNetwork,
    images: Tensor,
    speed: Tensor | None,
    surest: Tensor | None,
    grid: tuple[int, int],
) -> Subject:
    def answer(attention: VisionAttention, numbers: Tensor) -> Answer:
        outputs = attention.outputs.float()
        spatial = network.abilities.maps == "spatial" and attention.map.shape[1] > 0
        maps = attention.map if spatial else None
        if network.task.categorical:
            evidence = attention.evidence if attention.evidence.shape[1] else None
            return Answer(outputs, None, maps, evidence)
        if surest is not None:
            of = surest[numbers]
            value = outputs.gather(1, of[:, None]).squeeze(1)
            return Answer(None, value, maps)
        return Answer(None, outputs[:, 0], maps)

    def ask(pixels: Tensor, numbers: Tensor) -> Answer:
        return answer(_attend(network, pixels, speed, numbers), numbers)

    def ask_features(features: Tensor, numbers: Tensor) -> Answer:
        seen = None if speed is None else speed[numbers]
        return answer(network.attend_features(features, seen), numbers)

    def rebuilt(module: nn.Module) -> Subject:
        assert isinstance(module, VisionNetwork)
        return _subject(module, images, speed, surest, grid)

    return Subject(
        images=images,
        ask=ask,
        module=network,
        grid=grid,
        features=lambda pixels, numbers: network.extract(pixels),
        ask_features=ask_features,
        rebuilt=rebuilt,
        cam=_class_activations(network, speed),
    )


def _class_activations(
    network: VisionNetwork, speed: Tensor | None
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Returns what computes class activation maps; None where nothing is averaged before a head.

    They are the last linear layer's weights times the features before their global average.
    """
    if not isinstance(network, AbnNetwork) or not network.task.categorical or speed is not None:
        return None
    stage = [part for part in network.perception if isinstance(part, nn.Sequential)]
    layers = list(stage[0]) if len(stage) == 1 else []
    ends = [type(layer) for layer in layers[-2:]]
    head = network.head
    if ends != [nn.AdaptiveAvgPool2d, nn.Flatten] or not isinstance(head, nn.Linear):
        return None

    def activations(images: Tensor, numbers: Tensor) -> Tensor:
        features = network.extract(images)
        attention = network.branch(features)
        seen = network.branch.gate(features, attention.map, *attention.context)
        for layer in layers[:-2]:
            seen = layer(seen)
        return torch.einsum("kc,bchw->bkhw", head.weight, seen)

    return activations


def own_maps(subject: Subject, network: VisionNetwork) -> dict[str, MakeMap]:
    """Returns by name what makes a network's own map; none where it is no place in a picture."""
    if network.abilities.maps != "spatial" or not network.n_maps:
        return {}
    return {"map": partial(_own_map, network.n_maps)}


def _own_map(n_maps: int, subject: Subject) -> Tensor:
    maps = subject.answers().maps
    assert maps is not None
    # A map an output: their mean, since which one counts depends on the output.
    return to_cells(maps[:, 0] if n_maps == 1 else maps.mean(dim=1), subject.grid)


def _attend(
    network: VisionNetwork, images: Tensor, speed: Tensor | None, numbers: Tensor
) -> VisionAttention:
    return network.attend(images, None if speed is None else speed[numbers.to(speed.device)])


def _digest(network: VisionNetwork) -> str:
    from hashlib import sha256

    digest = sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _pictures(run: VisionRun, trained: Trained, path: Path, split: SplitName, n: int) -> _Asked:
    """Returns n pictures spread over a split."""
    examples = open_split(run, trained.outputs, path, split, trained.device)
    numbers = np.linspace(0, len(examples) - 1, min(n, len(examples))).round().astype(np.int64)
    numbers = np.random.default_rng(0).permutation(numbers)
    which = torch.as_tensor(numbers)
    batches = replace(trained.batches, compute=replace(trained.batches.compute, precision="fp32"))
    batch = batches.batch(examples, which)
    pixels = examples.pictures.read(examples.indices[which])
    shown = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return _Asked(batch.images.float(), batch.speed, shown, numbers, len(examples))


def _scores(
    run: VisionRun,
    path: Path,
    split: SplitName,
    interventions: Sequence[str],
    step: int,
    seed: int,
    device: str,
) -> Part:
    found = evaluate_run(
        run, data=path, split=split, interventions=interventions, step=step, seed=seed,
        device=device,
    )  # fmt: skip
    own = found.rows[0]
    name = next(iter(own.numbers))
    rows: dict[str, Any] = {}
    for row in found.rows:
        if row.intervention is not None and row.difference is not None:
            rows[row.intervention] = {
                "value": list(row.numbers[name]),
                "difference": list(row.difference),
            }
    return Part({"metric": name, "own": list(own.numbers[name]), "n": found.n, "rows": rows}, {})


def _fixed(
    network: VisionNetwork, subject: Subject, asked: _Asked, names: Sequence[str], seed: int
) -> Part:
    """Replaces the maps of fixed pictures."""
    own, arrays = subject.answers(), {}
    choice, device = chosen(own), subject.device
    starts = torch.ones(subject.n, dtype=torch.bool, device=device)
    for name in names:
        rule = Intervention(name, generator=torch.Generator(device).manual_seed(seed))
        with torch.no_grad():
            now = network.attend(asked.images, asked.speed, partial(rule, episode_start=starts))
        outputs = now.outputs.float()
        if own.logits is None and network.task.map_per_output:
            continue  # which task a picture is asked about is not kept
        answer = Answer(None, outputs[:, 0]) if own.logits is None else Answer(outputs, None)
        for response, lost in losses(own, answer, choice).items():
            arrays[f"{name}|{response}"] = lost.cpu().numpy()
    return Part(None, arrays)


def _explanation(
    run: VisionRun,
    trained: Trained,
    extent: VisionExtent,
    split: str,
    asked: _Asked,
    scores: Mapping[str, Any],
    fixed: Mapping[str, np.ndarray],
    tested: Study,
    seed: int,
) -> Explanation:
    found = findings(tested, seed=seed)
    own = Estimate(*scores["own"])
    task = trained.outputs.task
    is_error = not (task.categorical or task.map_per_output)
    lost = [
        Lost(name, share_lost(Estimate(*row["difference"]), own.value, is_error=is_error))
        for name, row in scores["rows"].items()
    ]
    response = "kl" if any(key.endswith("|kl") for key in fixed) else "value"
    changes = {
        key.partition("|")[0]: mean(values, seed)
        for key, values in fixed.items()
        if key.endswith(f"|{response}")
    }
    what = scores["metric"].replace("_", " ")
    kl = changes if response == "kl" else None
    certificate = Certificate(
        (
            used_line(lost, None, kl, what, is_error=is_error),
            right_line(found),
            better_line(found),
            objects_line({}),
            sane_line(found),
        )
    )
    name, data = run.recipe.agent_name, run.recipe.env.title
    shown = {
        which: tested.maps[which]
        for which in (tested.primary, "another moment", "evidence", "grad_cam", "occlusion",
                      "integrated_gradients")
        if which in tested.maps
    }  # fmt: skip
    return Explanation(
        title=f"Where does {name} look in {data}, and does it matter?",
        subtitle=(
            f"{run.path.name}, epoch {trained.checkpoint.step}; {what} {own:.3f} on "
            f"{scores['n']:,} {split.replace('_', ' ')} pictures; maps tested on "
            f"{len(asked.numbers)}; 95% bootstrap intervals; rl-abn {__version__}"
        ),
        certificate=certificate,
        sections=[
            ("Is it used?", _used_blocks(what, own, scores, lost, changes, response)),
            ("Does it mark what matters?", map_tables(tested, found)),
            ("Is it sane?", sanity_blocks(tested, found)),
            ("Pictures", [_examples(asked, shown)]),
        ],
        asked={
            "network": f"{name}, epoch {trained.checkpoint.step}",
            "run": str(run.path),
            "data": f"{data}, {split.replace('_', ' ')}",
            "studied map": tested.primary,
            "pictures": f"{len(asked.numbers)}, spread over the split",
            "grid": f"{tested.maps[tested.primary].shape[1]}×"
            f"{tested.maps[tested.primary].shape[2]} cells, the same for every map",
            "substrates": ", ".join(extent.how.substrates),
            "seed": str(seed),
            "extent": "quick" if extent.quick else "full",
        },
        methods=methods_said(tested),
        caveats=_caveats(extent),
        data={
            "network": {"name": name, "run": str(run.path), "epoch": trained.checkpoint.step},
            "scores": dict(scores),
            "used": {each.name: {"share": each.share._asdict()} for each in lost},
            "pictures_change": {
                "response": response,
                **{which: value._asdict() for which, value in changes.items()},
            },
            "maps": found.as_json(),
        },
    )


def share_lost(difference: Estimate, own: float, *, is_error: bool) -> Estimate:
    """Returns a difference as a share of the intact number; below 0 is worse.

    Args:
        difference: Of the intervened network to the intact one.
        own: The intact one's number.
        is_error: Whether less is better.
    """
    size = max(abs(own), 1e-9)
    low, high = difference.low, difference.high
    if not is_error:
        return difference.each(lambda value: value / size)
    return Estimate(
        -difference.value / size,
        None if high is None else -high / size,
        None if low is None else -low / size,
    )


def _used_blocks(
    what: str,
    own: Estimate,
    scores: Mapping[str, Any],
    lost: Sequence[Lost],
    changes: Mapping[str, Estimate],
    response: str,
) -> list[Block]:
    rows: list[tuple[str, list[Estimate | float | str | None]]] = [("intact", [own, None, None])]
    shares = {each.name: each.share.each(lambda s: 100 * s) for each in lost}
    for name, row in scores["rows"].items():
        rows.append(
            (
                name.replace("_", " "),
                [Estimate(*row["value"]), Estimate(*row["difference"]), f"{shares[name]:+.1f}"],
            )
        )
    blocks: list[Block] = [
        Table(
            f"{what} with the map replaced".capitalize(),
            f"Over all {scores['n']:,} pictures; the difference is taken picture by picture. In "
            "the last column less than 0 is worse.",
            ("map", what, "difference", "change, %"),
            rows,
            ".3f",
        )
    ]
    if changes:
        unit = "nats" if response == "kl" else "of the output"
        blocks.append(
            Chart(
                "Change of the answers to fixed pictures",
                "KL of the network's own answers from those with the map replaced."
                if response == "kl"
                else "The absolute change of what it answers.",
                [(name.replace("_", " "), "own", value) for name, value in changes.items()],
                unit,
                form=".3f",
            )
        )
    return blocks


def _examples(asked: _Asked, shown: Mapping[str, np.ndarray]) -> Picture:
    n = min(6, len(asked.pixels))
    png = example_sheet(
        list(asked.pixels[:n]),
        {name: maps[:n] for name, maps in shown.items()},
        [f"picture {number:,}" for number in asked.numbers[:n]],
        titles=("the picture",),
        width=150,
    )
    says = (
        "Every map on one scale, as multiples of an even map; what is below 0 is shown as 0. "
        "Chosen by their numbers, not by how they look."
    )
    return Picture(f"{n} pictures", says, png)


def _caveats(extent: VisionExtent) -> list[str]:
    said = [
        "An intervention shows whether this network's score depends on this property of its map, "
        "not that it is right because of what lies under it.",
        "Removal makes pictures that the network never saw, whatever stands in the gap; that is "
        "why several substrates are used and controls are shown.",
        "Occlusion removes single cells, as deletion does: it is close to what deletion asks for.",
        "Intervals are over pictures of one trained network. They contain no variation over "
        "training seeds, and each covers 95% on its own.",
    ]
    if extent.quick:
        said.append("Made with --quick: few pictures. Without it the intervals shrink.")
    return said

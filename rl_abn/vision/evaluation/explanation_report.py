"""A network's explanation, put together of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rl_abn import __version__
from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import Lost
from rl_abn.explain.examples import example_sheet
from rl_abn.explain.findings import findings, mean_changes
from rl_abn.explain.report import (
    Block,
    Chart,
    Explanation,
    Picture,
    Table,
    map_tables,
    methods_said,
    sanity_blocks,
)
from rl_abn.explain.statements import (
    asked_of,
    certificate_of,
    examples,
    interval_caveat,
    quick_caveat,
    removal_caveat,
)
from rl_abn.explain.study import Study
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from rl_abn.vision.evaluation.explanation_parts import ExplainedPictures, share_lost
from rl_abn.vision.training.build import Trained, VisionRun

SHOWN = ("another moment", "evidence", "grad_cam", "occlusion", "integrated_gradients")
"""Maps that are set beside the studied one in examples."""


class Measured(NamedTuple):
    """What was measured of a network.

    Attributes:
        asked: The pictures.
        split: Of which split.
        scores: As `replaced_scores` returns them.
        fixed: As `fixed_pictures` returns them; empty without maps.
        tested: The study of maps.
    """

    asked: ExplainedPictures
    split: str
    scores: Mapping[str, Any]
    fixed: Mapping[str, np.ndarray]
    tested: Study


def network_explanation(
    run: VisionRun, trained: Trained, extent: VisionExtent, seed: int, measured: Measured
) -> Explanation:
    """Puts an explanation together.

    Args:
        run: Whose network.
        trained: The network.
        extent: How much was done.
        seed: Of the bootstraps.
        measured: What was measured.
    """
    asked, scores, tested = measured.asked, measured.scores, measured.tested
    split = measured.split.replace("_", " ")
    found = findings(tested, seed=seed)
    own = Estimate(*scores["own"])
    task, epoch = trained.outputs.task, trained.checkpoint.step
    is_error = not (task.categorical or task.map_per_output)
    lost = [
        Lost(name, share_lost(Estimate(*row["difference"]), own.value, is_error=is_error))
        for name, row in scores["rows"].items()
    ]
    response = "kl" if any(key.endswith("|kl") for key in measured.fixed) else "value"
    changes = mean_changes(measured.fixed, response, seed)
    what = scores["metric"].replace("_", " ")
    name, data = run.recipe.agent_name, run.recipe.env.title
    shown = {
        which: tested.maps[which] for which in (tested.primary, *SHOWN) if which in tested.maps
    }
    return Explanation(
        title=f"Where does {name} look in {data}, and does it matter?",
        subtitle=(
            f"{run.path.name}, epoch {epoch}; {what} {own:.3f} on "
            f"{scores['n']:,} {split} pictures; maps tested on "
            f"{len(asked.numbers)}; 95% bootstrap intervals; rl-abn {__version__}"
        ),
        certificate=certificate_of(
            found, lost, kl=changes if response == "kl" else None, what=what, is_error=is_error
        ),
        sections=[
            ("Is it used?", used_blocks(what, own, scores, lost, changes, response)),
            ("Does it mark what matters?", map_tables(tested, found)),
            ("Is it sane?", sanity_blocks(tested, found)),
            ("Pictures", [_examples(asked, shown)]),
        ],
        asked={
            "network": f"{name}, epoch {epoch}",
            "run": str(run.path),
            "data": f"{data}, {split}",
            "pictures": f"{len(asked.numbers)}, spread over the split",
            **asked_of(tested, extent.how, seed, quick=extent.quick),
        },
        methods=methods_said(tested),
        caveats=_caveats(extent),
        data={
            "network": {"name": name, "run": str(run.path), "epoch": epoch},
            "scores": dict(scores),
            "used": {each.name: {"share": each.share._asdict()} for each in lost},
            "pictures_change": {
                "response": response,
                **{which: value._asdict() for which, value in changes.items()},
            },
            "maps": found.as_json(),
        },
    )


def used_blocks(
    what: str,
    own: Estimate,
    scores: Mapping[str, Any],
    lost: Sequence[Lost],
    changes: Mapping[str, Estimate],
    response: str,
) -> list[Block]:
    """Returns the table of scores with replaced maps, and the chart of changed answers.

    Args:
        what: The score's name.
        own: The intact one.
        scores: As `replaced_scores` returns them.
        lost: Under each intervention.
        changes: Of answers to fixed pictures, by intervention.
        response: What they are of: "kl" or "value".
    """
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
            f"{what[:1].upper()}{what[1:]} with the map replaced",
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


def _examples(asked: ExplainedPictures, shown: Mapping[str, np.ndarray]) -> Picture:
    n = min(6, len(asked.pixels))
    png = example_sheet(
        list(asked.pixels[:n]),
        {name: maps[:n] for name, maps in shown.items()},
        [f"picture {number:,}" for number in asked.numbers[:n]],
        titles=("the picture",),
        width=150,
    )
    return examples(f"{n} pictures", png)


def _caveats(extent: VisionExtent) -> list[str]:
    said = [
        "An intervention shows whether this network's score depends on this property of its map, "
        "not that it is right because of what lies under it.",
        removal_caveat("pictures"),
        "Occlusion removes single cells, as deletion does: it is close to what deletion asks for.",
        interval_caveat("pictures of one trained network"),
    ]
    if extent.quick:
        said.append(quick_caveat("pictures"))
    return said

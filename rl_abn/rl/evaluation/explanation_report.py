"""An agent's explanation, put together of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_abn import __version__
from rl_abn.estimates import Estimate, mean
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
from rl_abn.explain.subject import Subject
from rl_abn.files.parts import Part
from rl_abn.rl.envs.make import action_names
from rl_abn.rl.evaluation.explained_states import ExplainedStates
from rl_abn.rl.evaluation.explanation_extent import Extent
from rl_abn.rl.evaluation.explanation_parts import (
    INTACT,
    ObjectFinding,
    evidence_on_objects,
    lost_score,
    object_findings,
)
from rl_abn.rl.evaluation.objects_over_training import (
    blocks_over_training,
    numbers_over_training,
    skipped_said,
)
from rl_abn.rl.evaluation.scores import difference
from rl_abn.rl.evaluation.title import how_trained
from rl_abn.rl.training.build import training_protocol
from rl_abn.runs import Run
from rl_abn.runs.origin import origin_lines

SHOWN = ("another moment", "evidence", "grad_cam", "occlusion", "motion", "centre")
"""Maps that are set beside the studied one on objects and in examples."""


class Measured(NamedTuple):
    """What was measured of an agent.

    Attributes:
        scores: By player: "scores", "lengths" and "cut".
        states: The moments.
        subject: The agent at these.
        moments: As `fixed_moments` returns them; empty without maps.
        tested: The study of maps.
        removed: As `removed_objects` returns it.
        followed: As `objects_over_training` returns it; None where it was not asked.
    """

    scores: dict[str, dict[str, Any]]
    states: ExplainedStates
    subject: Subject
    moments: dict[str, np.ndarray]
    tested: Study
    removed: dict[str, np.ndarray]
    followed: Part | None = None


def agent_explanation(
    run: Run, step: int, extent: Extent, seed: int, measured: Measured
) -> Explanation:
    """Puts an explanation together.

    Args:
        run: Whose agent.
        step: Of its checkpoint.
        extent: How much was done.
        seed: Of the bootstraps.
        measured: What was measured.
    """
    scores, states, subject = measured.scores, measured.states, measured.subject
    tested, found = measured.tested, findings(measured.tested, seed=seed)
    intact = scores[INTACT]["scores"]
    lost = [
        lost_score(label, scores[label]["scores"], intact, seed)
        for label in scores
        if label in extent.interventions
    ]
    sees = _sees(scores, seed)
    kl, value = (mean_changes(measured.moments, what, seed) for what in ("kl", "value"))
    primary = tested.primary
    shown = {name: tested.maps[name] for name in (primary, *SHOWN) if name in tested.maps}
    objects = object_findings(states, shown, measured.removed, seed)
    names = action_names(run.recipe.env, training_protocol(run.recipe))
    evidence = evidence_on_objects(subject, states, names)
    lifts = {
        each.name: (each.lift[primary], each.follows)
        for each in objects
        if each.follows is not None
    }
    agent = run.recipe.agent_name
    trained = how_trained(step, run.is_foreign)
    origin = "".join(f"; {line}" for line in origin_lines(run))
    own = mean(np.array(intact, np.float64), seed)
    training = None
    if measured.followed is not None:
        training = numbers_over_training(measured.followed, seed)
    over_training = [] if training is None else blocks_over_training(training)
    lines = [] if measured.followed is None else skipped_said(measured.followed)
    skipped = [f"{line[0].upper()}{line[1:]}." for line in lines]
    sections: list[tuple[str, list[Block]]] = [
        ("Is it used?", _used_blocks(scores, lost, kl, value, seed)),
        ("Does it mark what matters?", map_tables(tested, found)),
        ("What does it lie on?", [*_object_blocks(objects, evidence), *over_training]),
        ("Is it sane?", sanity_blocks(tested, found)),
        ("Moments", [_moments(run, states, shown)]),
    ]
    return Explanation(
        title=f"Where does {agent} look on {run.recipe.env.game.title}, and does it matter?",
        subtitle=(
            f"{run.path.name}, {trained}; {extent.episodes} games a player, {len(intact)} "
            f"intact with mean {own:.0f}; {subject.n} moments of its own games; 95% "
            f"bootstrap intervals; rl-abn {__version__}"
        ),
        certificate=certificate_of(found, lost, kl=kl, sees=sees, lifts=lifts),
        sections=sections,
        asked={
            "agent": f"{agent}, {trained}{origin}",
            "run": str(run.path),
            "game": f"{run.recipe.env.game.title}, protocol {run.recipe.protocol_name}",
            "games": f"{extent.episodes} of each player, all lives"
            + ("" if extent.max_steps is None else f", cut after {extent.max_steps:,} steps"),
            "moments": f"{subject.n}, spread over games of the agent's own",
            **asked_of(tested, extent.how, seed, quick=extent.quick),
        },
        methods=methods_said(tested),
        caveats=[*caveats(extent, has_memory=bool(states.memory)), *skipped],
        data={
            "agent": {
                "name": agent,
                "run": str(run.path),
                "step": step,
                "game": run.recipe.env_name,
                "protocol": run.recipe.protocol_name,
            },
            "scores": {
                label: {"mean": mean(np.array(each["scores"], np.float64), seed)._asdict(), **each}
                for label, each in scores.items()
            },
            "used": {
                each.name: {
                    "share": each.share._asdict(),
                    "probability_intact_is_better": each.probability and each.probability._asdict(),
                }
                for each in lost
            },
            "sees": sees,
            "moments_kl": {name: e._asdict() for name, e in kl.items()},
            "moments_value": {name: e._asdict() for name, e in value.items()},
            "maps": found.as_json(),
            "objects": [each.as_json() for each in objects],
            "evidence_on_objects": evidence,
            "objects_over_training": training and _plain(training),
        },
    )


def _plain(training: dict[str, Any]) -> dict[str, Any]:
    """Returns numbers over a training for JSON."""
    objects = {
        name: {what: [each._asdict() for each in values] for what, values in of.items()}
        for name, of in training["objects"].items()
    }
    return {"steps": training["steps"], "objects": objects, "skipped": training["skipped"]}


def _sees(scores: Mapping[str, dict[str, Any]], seed: int) -> bool | None:
    """Returns whether the agent plays better than blind; None where it was not asked."""
    intact = np.array(scores[INTACT]["scores"])
    gaps = [
        difference(np.array(each["scores"]), intact, seed)
        for label, each in scores.items()
        if label.startswith("blind: ")
    ]
    if not gaps or any(gap.high is None for gap in gaps):
        return None
    return all(gap.high is not None and gap.high < 0 for gap in gaps)


def _moments(run: Run, states: ExplainedStates, shown: Mapping[str, np.ndarray]) -> Picture:
    picked = np.linspace(0, len(states.steps) - 1, min(5, len(states.steps))).astype(int)
    png = example_sheet(
        [states.screens[i] for i in picked],
        {name: maps[picked] for name, maps in shown.items() if name != "centre"},
        [f"game {states.games[i] + 1}, step {states.steps[i]:,}" for i in picked],
        seen_rows=training_protocol(run.recipe).seen_rows,
        width=states.screens.shape[2],
    )
    return examples("Five moments", png)


def caveats(extent: Extent, *, has_memory: bool) -> list[str]:
    """Returns what an explanation of an agent does not show."""
    said = [
        "An intervention shows whether this agent's score depends on this property of its map, not "
        "that it plays well because of the objects under it.",
        removal_caveat("pictures"),
        "Occlusion and SARFA remove single cells, as deletion does: they are close to what "
        "deletion asks for, and a map that comes near them does well.",
        interval_caveat("games and moments of one trained agent"),
        "An interval that includes 0 says that these games show no difference, not that there is "
        "none.",
    ]
    if has_memory:
        said.append(
            "The agent has a memory. At fixed moments it keeps what it remembers, so a removed "
            "object can still act on it."
        )
    if extent.quick:
        said.append(quick_caveat("games and moments"))
    return said


def _used_blocks(
    scores: Mapping[str, dict[str, Any]],
    lost: list[Lost],
    kl: Mapping[str, Estimate],
    value: Mapping[str, Estimate],
    seed: int,
) -> list[Block]:
    blocks: list[Block] = []
    by_name = {each.name: each for each in lost}
    rows: list[tuple[str, list[Estimate | float | str | None]]] = []
    for label, each in scores.items():
        share = by_name[label].share if label in by_name else None
        probability = by_name[label].probability if label in by_name else None
        rows.append(
            (
                label.replace("_", " "),
                [
                    mean(np.array(each["scores"], np.float64), seed),
                    None if share is None else share.each(lambda s: 100 * s),
                    None if probability is None else probability.each(lambda p: 100 * p),
                    float(np.mean(each["lengths"])),
                ],
            )
        )
    blocks.append(
        Table(
            "Scores with the map replaced, and blind",
            "The same games, with the map replaced at every step. The change is of the mean score, "
            "in percent; beside it how probably the intact agent scores more in a pair of games.",
            ("player", "mean score", "change, %", "intact is better, %", "mean steps"),
            rows,
            ".0f",
        )
    )
    if lost:
        blocks.append(
            Chart(
                "Change of the score, in percent",
                "Left of 0 the replaced map costs score; an interval with 0 in it shows nothing.",
                [
                    (each.name.replace("_", " "), "own", each.share.each(lambda s: 100 * s))
                    for each in lost
                ],
                "% of the intact agent's mean score",
                form=".0f",
            )
        )
    if kl:
        blocks.append(
            Chart(
                "Change of the policy at fixed moments",
                "KL of the agent's own policy from the one with the map replaced, in nats. Its "
                "memory is as it was. The numbers have maps of policy and value apart, too.",
                _of_all_maps(kl),
                "nats",
                form=".3f",
            )
        )
        blocks.append(
            Chart(
                "Change of the value at fixed moments",
                "The absolute change of the agent's value.",
                _of_all_maps(value),
                "value",
            )
        )
    return blocks


def _of_all_maps(changes: Mapping[str, Estimate]) -> list[tuple[str, str, Estimate]]:
    """Returns the rows of interventions on all maps together."""
    return [
        (name.replace("_", " "), "own", estimate)
        for name, estimate in changes.items()
        if ":" not in name
    ]


def _nats(estimate: Estimate | None) -> str | None:
    return None if estimate is None else f"{estimate:.3f}"


def _object_blocks(
    objects: list[ObjectFinding], evidence: dict[str, dict[str, float]]
) -> list[Block]:
    if not objects:
        return []
    names = list(objects[0].lift)
    blocks: list[Block] = [
        Table(
            "Share of the map over share of the area",
            "1 is what an even map has. Removal: how much the policy changes, in nats, when the "
            "object is taken off the screen, so what a good map would follow. 'Another moment' is "
            "the studied map of another moment: what does not depend on where the object is now.",
            ("object", "moments", "removal", *(name.replace("_", " ") for name in names)),
            [
                (
                    each.name.replace("_", " "),
                    [str(each.pictures), _nats(each.effect), *(each.lift[name] for name in names)],
                )
                for each in objects
            ],
        ),
        Table(
            "Pointing game",
            "How often the map's highest point lies on the object, or within half a cell of it.",
            ("object", *(name.replace("_", " ") for name in names)),
            [
                (each.name.replace("_", " "), [each.pointing[name] for name in names])
                for each in objects
            ],
        ),
    ]
    if evidence:
        columns = list(next(iter(evidence.values())))
        blocks.append(
            Table(
                "Which action's evidence lies on which object",
                "Share of the evidence for an action over share of the area.",
                ("action", *(name.replace("_", " ") for name in columns)),
                [(action, [row[name] for name in columns]) for action, row in evidence.items()],
            )
        )
    return blocks

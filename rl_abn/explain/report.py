"""An explanation as one object: what was asked, the answers, tables, pictures, caveats."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import QUESTIONS, Certificate
from rl_abn.explain.fidelity import SHARE, FineTuning
from rl_abn.explain.findings import Findings
from rl_abn.explain.methods import METHODS
from rl_abn.explain.study import FIDELITY, Study

FORMAT = 1
SAID = {"sensitivity": "sensitivity-n", "f-fidelity": "F-Fidelity"}


class Table(NamedTuple):
    """A table of a report.

    Attributes:
        title: What stands above.
        says: What it shows and how to read it.
        headings: Of the columns; the first is of the rows' names.
        rows: Name and cells, each a number with an interval, a number, a text or None.
        form: Format of numbers.
        first_is_studied: Whether the first row is of the studied map, and stands out.
    """

    title: str
    says: str
    headings: tuple[str, ...]
    rows: list[tuple[str, list[Estimate | float | str | None]]]
    form: str = ".2f"
    first_is_studied: bool = False


class Chart(NamedTuple):
    """Numbers with intervals beside each other.

    Attributes:
        title: What stands above.
        says: How to read it.
        rows: Name, group and number.
        unit: Of the numbers.
        zero: Where the line is that means no effect; None draws none.
        form: Format of numbers.
    """

    title: str
    says: str
    rows: list[tuple[str, str, Estimate]]
    unit: str = ""
    zero: float | None = 0.0
    form: str = ".2f"


class Curves(NamedTuple):
    """Lines over the share of cells.

    Attributes:
        title: What stands above.
        says: How to read it.
        x: Shared by all lines.
        lines: Name, group and values.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
    """

    title: str
    says: str
    x: tuple[float, ...]
    lines: list[tuple[str, str, list[float]]]
    x_label: str
    y_label: str


class Picture(NamedTuple):
    """A picture of a report.

    Attributes:
        title: What stands above.
        says: How to read it.
        png: The picture.
    """

    title: str
    says: str
    png: bytes


class Text(NamedTuple):
    """A paragraph of a report.

    Attributes:
        title: What stands above.
        says: The paragraph.
        link: Where its last line leads, relative to the page; "" is nowhere.
        link_text: That line.
    """

    title: str
    says: str
    link: str = ""
    link_text: str = ""


class Verdicts(NamedTuple):
    """A certificate within a report.

    Attributes:
        title: What stands above.
        says: How to read it.
        certificate: Its lines.
    """

    title: str
    says: str
    certificate: Certificate


Block = Table | Chart | Curves | Picture | Text | Verdicts


class Explanation(NamedTuple):
    """An explanation.

    Attributes:
        title: What it is of.
        subtitle: How it was made, in a line.
        certificate: The five lines, at the top; of a report whose sections come first it has none.
        sections: Title, and what stands in it.
        asked: What was asked for, by name.
        methods: A line on each method.
        caveats: What it does not show.
        data: All numbers, for JSON.
    """

    title: str
    subtitle: str
    certificate: Certificate
    sections: list[tuple[str, list[Block]]]
    asked: dict[str, str]
    methods: list[tuple[str, str]]
    caveats: list[str]
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        return {
            "format": FORMAT,
            "title": self.title,
            "subtitle": self.subtitle,
            "asked": self.asked,
            "certificate": [
                {**line, "asks": QUESTIONS[line["question"]]} for line in self.certificate.as_json()
            ],
            "methods": dict(self.methods),
            "caveats": self.caveats,
            **self.data,
        }


def map_tables(study: Study, found: Findings) -> list[Block]:
    """Returns the tables and charts of a study's maps."""
    unit = {"log_odds": "log-odds", "kl": "nats", "value": "value"}[found.response]
    order = [name for group in ("own", "control", "inverse", "rival") for name in study.maps
             if study.groups[name] == group]  # fmt: skip
    differences = {each.name: each for each in found.beside}
    metrics = list(found.scores[found.primary])
    rows: list[tuple[str, list[Estimate | float | str | None]]] = []
    for name in order:
        scores = found.scores[name]
        said = "" if name == found.primary else differences[name].verdict
        rank = found.ranking.maps.index(name) if name in found.ranking.maps else None
        cells: list[Estimate | float | str | None] = [
            *(scores.get(metric) for metric in metrics),
            None if rank is None else float(found.ranking.mean_rank[rank]),
            found.contrast[name],
            said,
        ]
        rows.append((f"{_shown(name)} · {study.groups[name]}", cells))
    table = Table(
        "Every map, measured alike",
        f"Deletion and insertion in {unit}, means over fractions and substrates; sensitivity is a "
        "correlation. More is better. The last column is the studied map beside this one, by the "
        "intervals of the differences picture by picture.",
        (
            "map",
            *(SAID.get(metric, metric) for metric in metrics),
            "mean rank",
            "contrast",
            "studied map is",
        ),
        rows,
        first_is_studied=True,
    )
    charts: list[Block] = []
    for metric in ("deletion", "insertion"):
        charts.append(
            Chart(
                f"{metric.capitalize()}: the studied map minus each other",
                f"In {unit}; right of 0 the studied map marks what matters better. Paired by "
                "picture, 95% intervals.",
                [
                    (_shown(each.name), each.group, each.differences[metric])
                    for each in found.beside
                ],
                unit,
            )
        )
    tuning = [] if study.fine_tuning is None else [_fine_tuning_table(study.fine_tuning)]
    return [table, *charts, *_curves(study, found, unit), _rank_table(found), *tuning]


def _fine_tuning_table(tuning: FineTuning) -> Table:
    n_tuned, n_tested = tuning.pictures
    ended = "it no longer fell" if tuning.stopped else "the steps were used up while it still fell"
    of = (
        f"fine-tuned on {n_tuned} pictures and tested on {n_tested} others"
        if tuning.is_split
        else f"fine-tuned and tested on the same {n_tuned} pictures, too few to hold any out"
    )
    kinds = list(tuning.before["masked, held out"])
    units = {"kl": "KL, nats", "value": "value, share of variance"}
    return Table(
        "F-Fidelity: how far the fine-tuning came",
        f"The copy was {of}. Distance of its answers from the network's own to the same pictures "
        f"without holes, before and after {tuning.steps} steps; the steps are those after which "
        f"the first row was smallest: {ended} ({tuning.curve[-1][0]} of at most "
        f"{tuning.most_steps} were made).",
        ("pictures", *(f"{units[kind]}, {when}" for kind in kinds for when in ("before", "after"))),
        [
            (
                what,
                [of[what][kind] for kind in kinds for of in (tuning.before, tuning.after)],
            )
            for what in tuning.before
        ],
        ".3f",
    )


def _curves(study: Study, found: Findings, unit: str) -> list[Block]:
    shown = [found.primary, "another moment", "same spectrum", "grad_cam", "occlusion", "motion",
             "random"]  # fmt: skip
    names = [name for name in dict.fromkeys(shown) if name in study.maps]
    blocks: list[Block] = []
    for metric, does in (("deletion", "removed"), ("insertion", "shown")):
        substrates = [s for m, s, r in study.metrics if (m, r) == (metric, found.response)]
        lines = []
        for name in names:
            each = [study.curves[name, metric, s, found.response] for s in substrates]
            mean = [float(sum(values) / len(values)) for values in zip(*each, strict=True)]
            lines.append((_shown(name), study.groups[name], mean))
        y_label = f"lost, {unit}" if metric == "deletion" else f"put right, {unit}"
        blocks.append(
            Curves(
                f"{metric.capitalize()} curves",
                "Higher and earlier is better; means over pictures and substrates.",
                study.fractions,
                lines,
                f"share of cells {does}",
                y_label,
            )
        )
    return blocks


def _rank_table(found: Findings) -> Table:
    ranking = found.ranking
    return Table(
        "Ranks by every metric",
        f"1 is the best. The metrics agree by {ranking.agreement:.2f} (Kendall's W: 1 is full "
        "agreement, 0 none). Where it is low, no map is simply the best.",
        ("map", *(metric.replace("_", "-") for metric in ranking.metrics), "mean"),
        [
            (_shown(name), [*map(float, ranks), float(mean)])
            for name, ranks, mean in zip(
                ranking.maps, ranking.ranks, ranking.mean_rank, strict=True
            )
        ],
        ".1f",
    )


def sanity_blocks(study: Study, found: Findings) -> list[Block]:
    """Returns what is known of randomisation and stability."""
    blocks: list[Block] = []
    if found.sanity:
        columns = list(dict.fromkeys(what for numbers in found.sanity.values() for what in numbers))
        blocks.append(
            Table(
                "Sanity",
                "Spearman's correlations of maps. Under small changes a map should stay (near 1); "
                "with weights drawn anew it should not (near that of different pictures).",
                ("map", *columns),
                [
                    (_shown(name), [numbers.get(what) for what in columns])
                    for name, numbers in found.sanity.items()
                ],
            )
        )
    for name, randomised in study.randomisation.items():
        means = randomised.similarity.mean(axis=1)
        blocks.append(
            Table(
                f"Weights drawn anew, the last layers first: {_shown(name)}",
                "What is left of the map's order when this layer and all later ones are new.",
                ("down to", "correlation"),
                [
                    (layer, [float(value)])
                    for layer, value in zip(randomised.layers, means, strict=True)
                ],
            )
        )
    return blocks


def _shown(name: str) -> str:
    return name.replace("_", " ")


def methods_said(tested: Study) -> list[tuple[str, str]]:
    """Returns a line on each map and metric."""
    said = [(name, METHODS[name].says) for name in tested.maps if name in METHODS]
    return [
        ("deletion", "the cells that a map marks go, the first first; the mean of what is lost "
         "(Petsiuk et al., BMVC 2018)"),
        ("insertion", "all is removed and these cells come back; the mean of what that puts right"),
        ("sensitivity-n", "correlation of a map's sum over random sets of a fifth of the cells "
         "with what is lost without them (Ancona et al., ICLR 2018)"),
        *([("F-Fidelity", "what a copy that was fine-tuned under random holes loses without up to "
         f"{SHARE:.0%} of the cells, those that a map marks most minus those that it marks least "
         "(Zheng et al., ICLR 2025); provisional, and in no rank")]
         if any(metric == FIDELITY for metric, *_ in tested.metrics) else []),
        ("another moment", "the map of another moment: all of a map but that it is of now"),
        ("shifted, blocks permuted, same spectrum", "maps as smooth as the studied one, in wrong "
         "places; removal rewards smooth maps for being smooth"),
        *said,
        ("weights drawn anew", "smoothed parameter randomisation (Adebayo et al., NeurIPS 2018; "
         "Hedström et al., 2024)"),
    ]  # fmt: skip

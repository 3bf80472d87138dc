"""The tables of `rl-abn compare`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rl_abn.cli.stacked import Column, stacked
from rl_abn.cli.tables import score_form
from rl_abn.estimates import mean
from rl_abn.rl.evaluation.compare import Comparison
from rl_abn.rl.evaluation.scores import human_normalised, interquartile_mean


def score_tables(found: Comparison, console: Console) -> list[Table]:
    """Lays scores out, a row a run.

    Args:
        found: The comparison.
        console: Where they are printed.
    """
    means = [mean(each.scores) for each in found.runs]
    iqms = [interquartile_mean(each.scores) for each in found.runs]
    form = score_form(means)
    known = [each.run.recipe.env.scores for each in found.runs]
    protocols = [Column("protocol", [each.protocol for each in found.runs])]
    protocols = protocols if found.has_protocols else []
    columns = [
        Column("game", [each.game for each in found.runs]),
        Column("agent", [each.run.recipe.agent_name for each in found.runs]),
        *protocols,
        Column("steps", [f"{each.step:,}" for each in found.runs]),
        Column("games", [str(len(each.scores)) for each in found.runs]),
        Column("mean", [f"{average:{form}}" for average in means]),
        Column("IQM", [f"{iqm:{form}}" for iqm in iqms]),
        Column(
            "HNS",
            [
                "–" if scores is None else f"{human_normalised(average.value, scores):.2f}"
                for average, scores in zip(means, known, strict=True)
            ],
        ),
    ]
    tables = stacked("run", [each.label for each in found.runs], columns, console)
    tables[-1].caption = "\nraw scores of whole games; [ ]: 95% interval over the games"
    return tables


def agreement_tables(found: Comparison, console: Console) -> list[Table]:
    """Lays out how alike maps and policies are, a row for every two runs that were compared.

    Args:
        found: The comparison.
        console: Where they are printed.
    """
    pairs = found.agreements
    columns = [
        Column("maps", [", ".join(each.maps) for each in pairs]),
        Column("correlation", [f"{each.similarity:.2f}" for each in pairs]),
        Column("another moment", [f"{each.another_moment:.2f}" for each in pairs]),
        Column("KL", [f"{each.kl:.3f}" for each in pairs]),
        Column("same action", [f"{each.same_action:.0%}" for each in pairs]),
    ]
    tables = stacked("runs", [f"{each.one}, {each.other}" for each in pairs], columns, console)
    tables[-1].caption = (
        "\nmoments of the first run's games; Spearman's correlation of the maps, beside that with "
        "the other's map of another moment; KL of the policies in nats"
    )
    return tables

"""Five lines that say what is known of a map: is it used, right, better than others, sane?

A sixth, on people's gaze, is there where it was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from rl_abn.estimates import Estimate
from rl_abn.explain.findings import Beside, Findings

Verdict = Literal["yes", "no", "partly", "unclear", "not asked"]
QUESTIONS = {
    "used": "Is the map used?",
    "right": "Does it mark what matters?",
    "better": "Is it better than maps one gets without it?",
    "objects": "What does it lie on?",
    "sane": "Does it depend on what was learned, and stay put?",
    "gaze": "Does it lie where people look?",
}
ONLY_WHEN_ASKED = ("gaze",)
"""Questions that a certificate need not answer."""


LITTLE_SHARE = 0.2
"""A loss of the score up to which an interval around 0 says "decoration"."""
HARDLY_SHARE = 0.05
"""A loss of less than this is hardly any, even where it can be told from 0."""
LITTLE_NATS = 0.01
"""A change of the policy below which a map does nothing, whatever the games' luck."""
LITTLE_REACH = 0.1
"""Of the way from random cells to the best map: less than that is nearly nothing."""
STATIC = 0.9
"""Correlation between maps of different pictures from which a map is nearly always the same."""


class Line(NamedTuple):
    """One line of a certificate.

    Attributes:
        question: A key of `QUESTIONS`.
        verdict: In a word.
        text: In a sentence, with numbers.
    """

    question: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.question}: {self.verdict}. {self.text}"


class Certificate(NamedTuple):
    """The lines, in the order of `QUESTIONS`; those of `ONLY_WHEN_ASKED` may be missing."""

    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))

    def as_json(self) -> list[dict[str, Any]]:
        """Returns plain data for JSON."""
        return [line._asdict() for line in self.lines]


class Lost(NamedTuple):
    """What a task's score loses under an intervention on the map.

    Attributes:
        name: Of the intervention.
        share: The difference to the intact score over its size; -0.5 is a loss of half.
        probability: That the intact one scores more in a pair of games; None without games.
    """

    name: str
    share: Estimate
    probability: Estimate | None = None


def percent(estimate: Estimate) -> str:
    """Returns an estimate of a share in percent, such as "68% [61, 74]" or "0.7% [0.2, 1.1]"."""
    return _in_percent(estimate, "")


def signed_percent(estimate: Estimate) -> str:
    """Returns an estimate of a share in percent with its sign, such as "-3% [-14, +8]"."""
    return _in_percent(estimate, "+")


def _in_percent(estimate: Estimate, sign: str) -> str:
    ends = [end for end in estimate if end is not None]
    form = f"{sign}.{1 if max(map(abs, ends)) < 0.1 else 0}f"
    value = f"{100 * estimate.value:{form}}%"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{100 * estimate.low:{form}}, {100 * estimate.high:{form}}]"


def used_line(
    lost: Sequence[Lost],
    sees: bool | None = None,
    kl: Mapping[str, Estimate] | None = None,
    what: str = "score",
    *,
    is_error: bool = False,
) -> Line:
    """Says whether a map is used, by what its replacement costs.

    Args:
        lost: Under each intervention; "uniform" flattens the map, "swap" takes another moment's.
        sees: Whether an agent plays better than when it is blind; None where it was not asked.
        kl: By intervention: the policy's divergence on fixed pictures, in nats.
        what: What is scored.
        is_error: Whether less of it is better; shares below 0 are losses all the same.
    """
    by_name = {each.name: each for each in lost}
    if "uniform" not in by_name:
        return Line("used", "not asked", "There is no map of its own that could be flattened.")
    flat, swap = by_name["uniform"].share, by_name.get("swap")
    if flat.low is None or flat.high is None:
        text = f"One game has no interval: flattening the map changes it by {percent(flat)}."
        return Line("used", "unclear", text)
    divergence = None if not kl else kl["uniform"]
    nats = "" if divergence is None else f" (its answers change by {divergence:.3f} nats)"
    blind = "" if sees is not False else " The agent plays no better than blind."
    if flat.high < 0:
        costs = _negative(flat)
        moment = ""
        if swap is not None and swap.share.high is not None:
            counts = "that it is of now counts" if swap.share.high < 0 else "that it is of now "
            counts += "" if swap.share.high < 0 else "is not shown to count"
            shown = _negative(swap.share) if is_error else swap.share
            moment = f" With another moment's map it is {signed_percent(shown)}: {counts}."
        hardly = costs.is_below(HARDLY_SHARE)
        does = f"adds {percent(costs)} to" if is_error else f"costs {percent(costs)} of"
        used = "it is hardly used" if hardly else "it is used"
        text = f"Flattening the map {does} the {what}{nats}: {used}.{moment}{blind}"
        return Line("used", "partly" if hardly else "yes", text)
    if flat.low > 0:
        does = "lowers" if is_error else "raises"
        text = f"Flattening the map {does} the {what} by {percent(flat)}{nats}: it does harm."
        return Line("used", "no", text + blind)
    shown = _negative(flat) if is_error else flat
    changes = f"Flattening the map changes the {what} by {signed_percent(shown)}{nats}"
    small = divergence is not None and (divergence.high or divergence.value) < LITTLE_NATS
    if flat.low > -LITTLE_SHARE or small:
        useless = "this map is decoration."
        if swap is not None and swap.share.is_below(0):
            other = percent(_negative(swap.share))
            useless = (
                f"an even map would do. Another moment's map {'adds' if is_error else 'costs'} "
                f"{other}: a wrong map does harm, its own brings nothing."
            )
        text = f"{changes}, which cannot be told from 0: {useless}{blind}"
        return Line("used", "no", text)
    text = f"{changes}, which cannot be told from 0, nor from a large loss: play more games.{blind}"
    return Line("used", "unclear", text)


def _negative(estimate: Estimate) -> Estimate:
    low, high = estimate.low, estimate.high
    return Estimate(-estimate.value, None if high is None else -high, None if low is None else -low)


def right_line(found: Findings) -> Line:
    """Says whether a map marks what matters more than controls of its own smoothness do."""
    controls = found.of_group("control")
    better = [each for each in controls if _is_better_in_all(each)]
    deletion = {name: scores["deletion"] for name, scores in found.scores.items()}
    best = max(deletion, key=lambda name: deletion[name].value)
    chance = deletion.get("random", deletion["same spectrum"])
    text = (
        f"What {_name(found.primary)} marks matters more than what {len(better)} of its "
        f"{len(controls)} controls mark ({_names(better)}). Removing it loses "
        f"{deletion[found.primary]:.2f} {_unit(found)}; the best, {_words(best)}, "
        f"{deletion[best].value:.2f}, random cells {chance.value:.2f}."
    )
    refined = next((each for each in found.beside if each.name == "attention_gradient"), None)
    if refined is not None and refined.verdict == "worse":
        text += f" Times its gradient it marks more: {deletion[refined.name].value:.2f}."
    moment = next(each for each in controls if each.name == "another moment")
    reach = max(deletion[best].value - chance.value, 1e-9)
    gained = min(gap.value for gap in moment.differences.values())
    if [each for each in controls if each not in better] in ([], [moment]):
        if moment not in better or gained < LITTLE_REACH * reach:
            text += (
                " Another moment's map does as well or nearly: its place counts, not its moment."
            )
            return Line("right", "partly", text)
        return Line("right", "yes", text)
    return Line("right", "partly" if len(better) > len(controls) / 2 else "no", text)


def better_line(found: Findings) -> Line:
    """Says how a map does beside those that one gets without it."""
    rivals = found.of_group("rival")
    by_verdict = {
        verdict: [each for each in rivals if each.verdict == verdict]
        for verdict in ("better", "worse", "alike", "mixed")
    }
    n_better, n_worse = len(by_verdict["better"]), len(by_verdict["worse"])
    rank = 1 + found.ranking.maps.index(found.primary)
    text = (
        f"Of {len(rivals)} maps made in other ways, it marks what matters better than {n_better} "
        f"({_names(by_verdict['better'])}) and worse than {n_worse} ({_names(by_verdict['worse'])})"
        f"; mean rank over all metrics {rank} of {len(found.ranking.maps)}, whose agreement is "
        f"{found.ranking.agreement:.2f} (Kendall's W)."
    )
    named = {each.name: each.verdict for each in rivals}
    cheap = [name for name in ("grad_cam", "motion", "centre", "random") if name in named]
    if all(named[name] == "better" for name in cheap):
        return Line("better", "yes" if not n_worse else "partly", text)
    return Line("better", "no" if n_better <= n_worse else "partly", text)


def sane_line(found: Findings) -> Line:
    """Says whether a map depends on the weights, keeps still, and beats its inverse."""
    numbers = found.sanity.get(found.primary, {})
    inverse = next((each for each in found.beside if each.group == "inverse"), None)
    parts, fails = [], 0
    anew, other = numbers.get("weights drawn anew"), numbers.get("another picture")
    if anew is not None and other is not None:
        fails += abs(anew.value) > 0.5 and anew.value > other.value - 0.1
        parts.append(f"with new weights {anew:.2f}, with another picture {other:.2f}")
        if other.value > STATIC:
            fails += 1
            parts[-1] += ": it is nearly the same in every picture"
    for change, said in (
        ("one pixel", "after a shift by one pixel"),
        ("noise", "under noise of 2%"),
    ):
        if change in numbers:
            fails += numbers[change].value < 0.5
            parts.append(f"{said} {numbers[change]:.2f}")
    if inverse is not None:
        fails += inverse.verdict != "better"
        beside = {"better": "better than", "worse": "worse than", "alike": "no better than"}
        parts.append(f"it is {beside.get(inverse.verdict, 'not always better than')} its inverse")
    text = "Rank correlation with itself: " + "; ".join(parts) + "."
    if not numbers:
        text = "It was not tested: " + "; ".join(parts) + "."
    return Line("sane", "yes" if not fails else "no" if fails > 1 else "partly", text)


def objects_line(lifts: Mapping[str, tuple[Estimate, Estimate]]) -> Line:
    """Says which objects a map lies on, and which of them it follows.

    Args:
        lifts: By object: share of the map over share of the area; and by how much it exceeds that
            of the same map of another moment, moment by moment.
    """
    if not lifts:
        return Line("objects", "not asked", "No objects are known in these pictures.")
    above = {name: (own, gap) for name, (own, gap) in lifts.items() if own.is_above(1)}
    if not above:
        most, (lift, _) = max(lifts.items(), key=lambda item: item[1][0].value)
        text = f"On no object more than an even map; most on {_words(most)}: {lift:.1f} times."
        return Line("objects", "no", text)
    best = sorted(above.items(), key=lambda item: -item[1][0].value)[:3]
    said = ", ".join(f"{_words(name)} {own:.1f}" for name, (own, _) in best)
    # An object that is always at one place is marked by a map that never moves, too.
    follows = [
        f"{_words(name)} (by {gap:+.1f})"
        for name, (own, gap) in above.items()
        if gap.is_above(0) and gap.value > LITTLE_REACH * (own.value - 1)
    ]
    moves = (
        f"more than another moment's map: {', '.join(follows[:4])}"
        if follows
        else "another moment's map lies there as much: it follows none of them"
    )
    text = f"Share of the map over share of the area: {said}; {moves}."
    return Line("objects", "yes" if follows else "partly", text)


def gaze_line(
    primary: str,
    scores: Mapping[str, Estimate],
    differences: Mapping[str, Mapping[str, Estimate]],
    people: Estimate,
    of: str,
) -> Line:
    """Says whether a map lies where people look, and more than maps that know nothing do.

    Args:
        primary: Name of the map.
        scores: Its own, with "nss" and "shuffled_auc".
        differences: The map minus each control, by control, then by the same two scores.
        people: NSS of people's average gaze.
        of: Over what, such as "96 moments of 2 trials".
    """
    above = [name for name, each in differences.items() if each["nss"].is_above(0)]
    rest = [name for name in differences if name not in above]
    auc = scores["shuffled_auc"]
    text = (
        f"At people's gaze {_name(primary)} is {scores['nss']:.2f} standard deviations above "
        f"its mean (NSS; people's average gaze {people.value:.2f}), shuffled AUC {auc:.2f}, over "
        f"{of}: more than {', '.join(map(_words, above)) or 'no control'}"
        + (f", not more than {', '.join(map(_words, rest))}." if rest else ".")
    )
    if auc.low is None:
        return Line("gaze", "unclear", f"{text} There are too few stretches of play for intervals.")
    moment = differences["another moment"]
    if not rest and auc.low > 0.5:
        return Line("gaze", "yes", text)
    follows = any(score.is_above(0) for score in moment.values())
    text += "" if follows else " It does not follow the gaze from moment to moment."
    return Line("gaze", "partly" if follows and scores["nss"].is_above(0) else "no", text)


def _is_better_in_all(each: Beside) -> bool:
    return all(d.is_above(0) for d in each.differences.values())


def _names(beside: Sequence[Beside]) -> str:
    return ", ".join(_words(each.name) for each in beside) or "none"


def _name(primary: str) -> str:
    return "the map" if primary in ("map", "policy map", "shared map") else _words(primary)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _unit(found: Findings) -> str:
    return {"log_odds": "in log-odds", "kl": "nats", "value": "of the value"}[found.response]

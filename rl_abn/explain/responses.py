"""How an answer changes when pixels change: log-odds, policy, value."""

from __future__ import annotations

from torch import Tensor

from rl_abn.explain.subject import Answer

RESPONSES = ("log_odds", "kl", "value")


def chosen(answer: Answer) -> Tensor | None:
    """Returns the most probable choice of each picture, int64 [B]; None for one without choices."""
    return None if answer.logits is None else answer.logits.argmax(dim=1)


def log_odds(logits: Tensor, choice: Tensor) -> Tensor:
    """Returns log(p / (1 - p)) of a choice, [B].

    Args:
        logits: [B, K].
        choice: Which of the K, int64 [B].
    """
    own = logits.gather(1, choice[:, None]).squeeze(1)
    if logits.shape[1] == 1:
        return own
    others = logits.scatter(1, choice[:, None], float("-inf"))
    return own - others.logsumexp(dim=1)


def objective(answer: Answer, choice: Tensor | None) -> Tensor:
    """Returns what gradient methods explain, [B]: the choice's log-odds, or the signed value."""
    if answer.logits is None or choice is None:
        assert answer.value is not None
        return answer.value if answer.sign is None else answer.sign * answer.value
    return log_odds(answer.logits, choice)


def losses(own: Answer, now: Answer, choice: Tensor | None) -> dict[str, Tensor]:
    """Returns how much is lost from one answer to another, by response, each float64 [B].

    "log_odds": the decrease of the log-odds of the choice. "kl": KL(own ‖ now) of the
    probabilities, in nats. "value": the absolute change of what is estimated.

    Args:
        own: Of the pictures as they are.
        now: Of the changed pictures.
        choice: As `chosen` returns it for `own`.
    """
    lost: dict[str, Tensor] = {}
    if own.logits is not None and now.logits is not None and choice is not None:
        one, other = own.logits.double(), now.logits.double()
        lost["log_odds"] = log_odds(one, choice) - log_odds(other, choice)
        if one.shape[1] > 1:
            p, q = one.log_softmax(dim=1), other.log_softmax(dim=1)
            lost["kl"] = (p.exp() * (p - q)).sum(dim=1).clamp_min(0.0)
    if own.value is not None and now.value is not None:
        lost["value"] = (own.value.double() - now.value.double()).abs()
    return lost


def variant_losses(own: Answer, now: Answer, choice: Tensor | None, n: int) -> dict[str, Tensor]:
    """Returns `losses` of n variants of every picture, by response, each [n, N].

    Args:
        own: Of the N pictures as they are.
        now: As `Subject.variants` returns it.
        choice: As `chosen` returns it for `own`.
        n: How many variants.
    """
    logits = None if own.logits is None else own.logits.repeat(n, 1)
    value = None if own.value is None else own.value.repeat(n)
    choices = None if choice is None else choice.repeat(n)
    lost = losses(Answer(logits, value), now, choices)
    return {response: loss.view(n, -1) for response, loss in lost.items()}

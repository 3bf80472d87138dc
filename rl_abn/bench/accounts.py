"""Where a training's time goes: every moment is charged to exactly one account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy

from rl_abn.rl.envs.env_parts import env_parts_of

ACCOUNTS = ("emulator", "acting", "learning", "logging", "other")


class Accounts:
    """A clock that charges the time to whichever account is open.

    Args:
        clock: Tells the time in seconds.

    Attributes:
        open: The open account.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.open = "other"
        self.reset()

    def reset(self) -> None:
        """Forgets what was charged; the open account stays open."""
        self._seconds = dict.fromkeys(ACCOUNTS, 0.0)
        self._since = self._clock()

    def switch(self, account: str) -> str:
        """Opens an account; returns the one that was open."""
        now = self._clock()
        self._seconds[self.open] += now - self._since
        before, self.open, self._since = self.open, account, now
        return before

    def shares(self) -> dict[str, float]:
        """Returns each account's share of the time since the reset; they sum to 1."""
        self.switch(self.open)
        total = sum(self._seconds.values())
        return {account: seconds / total for account, seconds in self._seconds.items()}

    def charge(self, owner: Any, method: str, account: str, *, then: str | None = None) -> None:
        """Charges an object's method to an account.

        Args:
            owner: The object.
            method: The method's name.
            account: Which account is open while it runs.
            then: Which one is open after it; None is the one before it.
        """
        plain = getattr(owner, method)

        @wraps(plain)
        def charged(*args: Any, **kwargs: Any) -> Any:
            before = self.switch(account)
            try:
                return plain(*args, **kwargs)
            finally:
                self.switch(before if then is None else then)

        setattr(owner, method, charged)


def keep_accounts(model: OnPolicyAlgorithm, accounts: Accounts, acting: str) -> None:
    """Charges what an algorithm does.

    Emulator is the time spent in sending actions and waiting for observations. Acting is from the
    policy's answer being asked for until the actions are sent: on a GPU the answer is there only
    when it is fetched, so waiting for it and sampling belong to it. Learning is the update.
    Logging is SB3's logging point; callbacks are charged by `keep_callbacks_account`.

    Args:
        model: The algorithm, ours or SB3's.
        accounts: Where to.
        acting: The policy's method that answers during a rollout.
    """
    env = model.get_env()
    assert env is not None
    for part, _ in env_parts_of(env):
        accounts.charge(part, "step_async", "emulator", then="other")
        accounts.charge(part, "step_wait", "emulator", then="other")
    accounts.charge(model, "train", "learning", then="other")
    accounts.charge(model, "dump_logs", "logging")
    collect = model.collect_rollouts

    @wraps(collect)
    def collect_rollouts(*args: Any, **kwargs: Any) -> bool:
        # Only here: the update asks the policy too, and may have compiled what it calls.
        with _charged_answers(model.policy, acting, accounts):
            going_on = collect(*args, **kwargs)
        accounts.switch("other")
        return going_on

    model.collect_rollouts = collect_rollouts  # type: ignore[method-assign]


def keep_callbacks_account(callback: BaseCallback, accounts: Accounts) -> None:
    """Charges what a callback does to logging."""
    for method in ("on_training_start", "on_rollout_start", "on_step", "on_rollout_end"):
        accounts.charge(callback, method, "logging")


@contextmanager
def _charged_answers(policy: BasePolicy, method: str, accounts: Accounts) -> Iterator[None]:
    """Opens the acting account when the policy is asked, unless a callback asks."""
    own, plain = vars(policy).get(method), getattr(policy, method)

    @wraps(plain)
    def answer(*args: Any, **kwargs: Any) -> Any:
        if accounts.open != "logging":
            accounts.switch("acting")
        return plain(*args, **kwargs)

    setattr(policy, method, answer)
    try:
        yield
    finally:
        if own is None:
            delattr(policy, method)
        else:
            setattr(policy, method, own)

"""Each moment belongs to one phase."""

from __future__ import annotations

import pytest

from rl_abn.bench.phases import PHASES, PhaseTimer, time_callbacks, time_phases
from rl_abn.rl.envs.env_parts import Part, PartitionedVecEnv


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Worker:
    """Each call takes as many seconds as it says."""

    def __init__(self, clock):
        self.clock = clock

    def work(self, seconds, then=lambda: None):
        self.clock.now += seconds
        then()
        return seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timer(clock):
    return PhaseTimer(clock)


def test_shares_are_of_the_time_since_the_reset(clock, timer):
    clock.now += 100
    timer.reset()
    worker = Worker(clock)
    timer.time_method(worker, "work", "learning")
    assert worker.work(3) == 3
    clock.now += 1
    assert timer.shares() == {**dict.fromkeys(PHASES, 0.0), "learning": 0.75, "other": 0.25}


def test_a_nested_method_counts_for_the_inner_phase_only(clock, timer):
    outer, inner = Worker(clock), Worker(clock)
    timer.time_method(outer, "work", "logging")
    timer.time_method(inner, "work", "emulator")
    outer.work(1, then=lambda: inner.work(3))
    assert timer.current == "other"
    assert timer.shares()["logging"] == 0.25
    assert timer.shares()["emulator"] == 0.75


def test_an_exception_ends_the_phase(clock, timer):
    worker = Worker(clock)
    timer.time_method(worker, "work", "learning")

    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        worker.work(1, then=fail)
    assert timer.current == "other"


class Halves(PartitionedVecEnv):
    """An environment in two parts that are stepped by themselves."""

    def __init__(self, clock):
        self.parts = [Part(Half(clock), slice(i, i + 1)) for i in range(2)]

    def step_async(self, actions):
        raise AssertionError("the parts are stepped instead")

    step_wait = step_async


class Half:
    def __init__(self, clock):
        self.clock = clock

    def step_async(self, actions):
        self.clock.now += 1

    def step_wait(self):
        self.clock.now += 2


class Policy:
    def __init__(self, clock):
        self.clock = clock

    def attend(self):
        self.clock.now += 4


class Callback:
    def __init__(self, policy):
        self.policy = policy

    def on_training_start(self):
        pass

    on_rollout_start = on_step = on_training_start

    def on_rollout_end(self):
        self.policy.attend()


class Model:
    """An algorithm of known durations: a rollout is 18 s and its update 13 s."""

    def __init__(self, clock):
        self.clock = clock
        self.env = Halves(clock)
        self.policy = Policy(clock)
        self.callback = Callback(self.policy)

    def get_env(self):
        return self.env

    def collect_rollouts(self):
        self.policy.attend()
        self.clock.now += 1  # sampling and fetching the actions
        for part, _ in self.env.parts:
            part.step_async(None)
        for part, _ in self.env.parts:
            part.step_wait()
        self.clock.now += 3  # the buffer
        self.callback.on_rollout_end()
        return True

    def train(self):
        self.policy.attend()
        self.clock.now += 9

    def dump_logs(self):
        self.clock.now += 1


def test_the_phases_of_a_training(clock, timer):
    model = Model(clock)
    time_phases(model, timer, acting="attend")
    time_callbacks(model.callback, timer)
    timer.reset()
    assert model.collect_rollouts() is True
    assert "attend" not in vars(model.policy)
    model.train()
    model.dump_logs()
    total = 18 + 13 + 1
    assert timer.shares() == {
        "emulator": 6 / total,
        "acting": 5 / total,
        "learning": 13 / total,
        "logging": 5 / total,  # includes the policy called by a callback
        "other": 3 / total,
    }


def test_the_policys_own_method_is_put_back(clock, timer):
    model = Model(clock)

    def compiled():
        clock.now += 1

    model.policy.attend = compiled
    time_phases(model, timer, acting="attend")
    model.collect_rollouts()
    assert model.policy.attend is compiled

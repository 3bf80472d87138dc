"""What a network is trained to do. A task is one class in one file and one entry in `TASKS`.

Everything that differs between tasks is a method or an ability of `Task`; no other module compares
a task's name.
"""

from __future__ import annotations

from collections.abc import Mapping

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.vision.tasks.classification import Classification
from rl_abn.vision.tasks.multilabel import Multilabel
from rl_abn.vision.tasks.regression import Regression
from rl_abn.vision.tasks.scores import Column
from rl_abn.vision.tasks.task import Task

TASKS: Mapping[str, Task] = {
    task.name: task for task in (Classification(), Multilabel(), Regression())
}
"""By the name that recipes and `outputs.json` have for it."""


def task_named(name: str) -> Task:
    """Returns a task by name.

    Raises:
        RlAbnError: If there is no such task.
    """
    if name not in TASKS:
        raise RlAbnError(f"expected a task, got '{name}': {did_you_mean(name, TASKS)}")
    return TASKS[name]


def tasks_for(kind: str) -> list[Task]:
    """Returns the tasks that a kind of data has targets for, its default first."""
    tasks = [task for task in TASKS.values() if kind in task.data_kinds]
    return sorted(tasks, key=lambda task: task.default_for != kind)


def column_of(number: str) -> Column:
    """Returns how tables show a number of a `Row`, by its name there."""
    columns = {name: column for task in TASKS.values() for name, column in task.columns.items()}
    return columns.get(number, Column(number.replace("_", " ")))


__all__ = ["TASKS", "Task", "column_of", "task_named", "tasks_for"]

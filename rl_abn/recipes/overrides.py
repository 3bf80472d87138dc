"""Validates recipes and overrides their fields, with one-line errors."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes.agent import AgentRecipe
from rl_abn.recipes.env import EnvRecipe
from rl_abn.recipes.gymnasium_env import GymnasiumRecipe
from rl_abn.recipes.init import InitTable
from rl_abn.recipes.table import UNKNOWN_OPTION
from rl_abn.recipes.teacher import TeacherTable
from rl_abn.recipes.translation import DomainsRecipe, TranslatorRecipe
from rl_abn.recipes.vision import DataRecipe, ModelRecipe

RecipeT = TypeVar("RecipeT", bound=BaseModel)
AgentT = TypeVar("AgentT", AgentRecipe, ModelRecipe, TranslatorRecipe)
EnvT = TypeVar("EnvT", bound=EnvRecipe | GymnasiumRecipe | DataRecipe | DomainsRecipe)

# Tables that an agent's recipe may be without.
_MAY_LACK: dict[str, type[BaseModel]] = {"teacher": TeacherTable, "init": InitTable}


def validate(model: type[RecipeT], data: Mapping[str, Any], where: str) -> RecipeT:
    """Makes a recipe from plain data; `where` is the file or flag to name in an error.

    Raises:
        RlAbnError: If keys are unknown, missing or out of range: all mistakes, in one line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RlAbnError(f"{where}: {_mistakes(model, error)}") from None


def override(agent: AgentT, env: EnvT, settings: Iterable[str]) -> tuple[AgentT, EnvT]:
    """Applies settings such as "algorithm.gamma=0.995" to the recipe that has the field.

    Raises:
        RlAbnError: If a setting has no "=", names no field, or its value is out of range.
    """
    data = {"agent": agent.model_dump(mode="json"), "env": env.model_dump(mode="json")}
    settings = list(settings)
    for name, model in _MAY_LACK.items():
        if name in data["agent"] and any(s.strip().startswith(f"{name}.") for s in settings):
            data["agent"][name] = data["agent"][name] or model().model_dump()
    owner = {table: kind for kind in data for table in data[kind]}
    # Tables that may get keys they have not: a screen's objects, options of an
    # environment, mechanism or network.
    open_tables = [["objects"], ["options"], ["attention"]]
    if isinstance(agent, ModelRecipe):
        open_tables.append(["network"])
    changed: dict[str, list[str]] = {"agent": [], "env": []}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals:
            raise RlAbnError(f"--set {setting}: expected KEY=VALUE, such as algorithm.gamma=0.995")
        *tables, field = key.split(".")
        recipe = owner.get((*tables, field)[0], "")
        table: Any = data.get(recipe)
        for name in tables:
            table = table.get(name) if isinstance(table, dict) else None
        if not isinstance(table, dict) or (field not in table and tables not in open_tables):
            keys = [k for plain in data.values() for k in _dotted(plain)]
            raise RlAbnError(f"--set {setting}: unknown key '{key}': {_nearest(key, keys)}")
        table[field] = _parse(value.strip())
        changed[recipe].append(f"--set {setting}")
    # Checked together: a setting may be valid only in combination with another.
    return (
        validate(type(agent), data["agent"], " ".join(changed["agent"])),
        validate(type(env), data["env"], " ".join(changed["env"])),
    )


def _parse(text: str) -> Any:
    """Parses a value as TOML; anything else is taken as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, KeyError, RecursionError):
        return text


def _nearest(key: str, keys: list[str]) -> str:
    """Returns a hint with the nearest dotted key, by the whole key or its last part."""
    if "." not in key:
        fields = {dotted.rpartition(".")[2]: dotted for dotted in reversed(keys)}
        near = get_close_matches(key, fields, n=1, cutoff=0.7)
        if near:
            return f"did you mean '{fields[near[0]]}'?"
    return did_you_mean(key, keys, otherwise="'rl-abn recipes NAME' shows the keys")


def _dotted(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _mistakes(model: type[BaseModel], error: ValidationError) -> str:
    """Returns all mistakes in one line, unknown keys first."""
    found = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    said = list(dict.fromkeys(_mistake(model, mistake) for mistake in found))
    # A misspelt key that is required would be reported twice: as unknown and as missing.
    meant = {
        (*mistake["loc"][:-1], near[0])
        for mistake in found
        if mistake["type"] == "extra_forbidden" and (near := _near(model, mistake))
    }
    for mistake in found:
        if mistake["type"] == "missing" and mistake["loc"] in meant:
            said.remove(_mistake(model, mistake))
    more = f"; and {len(said) - _MOST_LISTED} more" if len(said) > _MOST_LISTED else ""
    return "; ".join(said[:_MOST_LISTED]) + more


def _near(model: type[BaseModel], mistake: Any) -> list[str]:
    *parents, key = mistake["loc"]
    return get_close_matches(str(key)[:_LONGEST], sorted(_keys(model, parents)), n=1, cutoff=0.5)


def _mistake(model: type[BaseModel], mistake: Any) -> str:
    path = _readable(mistake["loc"]).encode("unicode_escape").decode()[-_LONGEST:]
    if mistake["type"] == "extra_forbidden":
        *parents, key = mistake["loc"]
        return f"unknown key '{path}': {did_you_mean(str(key)[:_LONGEST], _keys(model, parents))}"
    if mistake["type"] == "missing":
        return f"expected a key '{path}', got none"
    if mistake["type"] == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in mistake["ctx"]["expected_tags"].split(",")]
        tag = str(mistake["ctx"]["tag"])
        return f"{path}.name: unknown name '{tag}': {did_you_mean(tag, tags)}"
    if mistake["type"] == "union_tag_not_found":
        return f"expected a key '{path}.name', got none"
    if mistake["type"] == UNKNOWN_OPTION:
        option, options = mistake["ctx"]["option"], mistake["ctx"]["options"]
        return f"unknown key '{path}.{option}': {did_you_mean(option, options)}"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "value_error":
        return f"{path}: {message}" if path else message
    expected = message.removeprefix("Input should be ")
    return f"{path}: expected {expected}, got {brief_value(mistake['input'])}"


# Values and keys of untrusted files can be of any length and depth; error messages are limited.
_LONGEST = 160
_MOST_LISTED = 12
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 8, 8
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _LONGEST


def brief_value(value: object) -> str:
    """Returns a value of an untrusted file as an error says it."""
    return _SHORT.repr(value)


# Parts of pydantic's locations that are no keys: the tried branch of a union.
_UNION_TAGS = {"ppo", "a2c", "<schedule>", "<number>", "<atari>", "<gymnasium>", "[key]"}


def _readable(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in _UNION_TAGS)


def _keys(model: type[BaseModel], parents: list[int | str]) -> list[str]:
    """Returns the keys allowed at a location in a recipe."""
    models = [model]
    for part in parents:
        if part in ("ppo", "a2c"):
            models = [m for m in models if m.__name__.lower() == part]
        elif any(str(part) in m.model_fields for m in models):
            annotations = [
                m.model_fields[str(part)].annotation for m in models if str(part) in m.model_fields
            ]
            models = [m for annotation in annotations for m in _models_in(annotation)]
    return [key for m in models for key in m.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]

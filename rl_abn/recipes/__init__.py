"""Recipes: what an agent and a game are made of, as data."""

from rl_abn.recipes.lookup import (
    Kind,
    list_recipes,
    load_agent,
    load_env,
    load_run,
    make_run_recipe,
    recipe_path,
    recipe_summary,
)
from rl_abn.recipes.overrides import override
from rl_abn.recipes.schema import (
    A2C,
    PPO,
    AgentRecipe,
    AttentionTable,
    EnvRecipe,
    Game,
    GameObject,
    LinearSchedule,
    NetworkTable,
    Protocol,
    RunRecipe,
    TrainTable,
    schedule,
)

__all__ = [
    "A2C",
    "PPO",
    "AgentRecipe",
    "AttentionTable",
    "EnvRecipe",
    "Game",
    "GameObject",
    "Kind",
    "LinearSchedule",
    "NetworkTable",
    "Protocol",
    "RunRecipe",
    "TrainTable",
    "list_recipes",
    "load_agent",
    "load_env",
    "load_run",
    "make_run_recipe",
    "override",
    "recipe_path",
    "recipe_summary",
    "schedule",
]

"""Recipes: agents, games and networks described as data."""

from rl_abn.recipes.agent import AgentRecipe, AttentionTable, NetworkTable, TrainTable
from rl_abn.recipes.algorithms import A2C, PPO
from rl_abn.recipes.env import Crop, EnvRecipe, Game, GameObject, Protocol
from rl_abn.recipes.gymnasium_env import GymnasiumRecipe, Preprocessing
from rl_abn.recipes.init import InitTable
from rl_abn.recipes.lookup import (
    Kind,
    list_recipes,
    load_agent,
    load_data,
    load_env,
    load_game,
    load_model,
    load_run,
    make_run_recipe,
    make_translation_recipe,
    make_vision_recipe,
    recipe_path,
    recipe_summary,
)
from rl_abn.recipes.other_agent import OtherAgentTable
from rl_abn.recipes.overrides import override
from rl_abn.recipes.run import AnyEnvRecipe, RunRecipe
from rl_abn.recipes.table import LinearSchedule, schedule
from rl_abn.recipes.teacher import TeacherTable
from rl_abn.recipes.translation import TranslationRunRecipe
from rl_abn.recipes.vision import DataRecipe, ModelRecipe, OptimizerTable, VisionRunRecipe

__all__ = [
    "A2C",
    "PPO",
    "AgentRecipe",
    "AnyEnvRecipe",
    "AttentionTable",
    "Crop",
    "DataRecipe",
    "EnvRecipe",
    "Game",
    "GameObject",
    "GymnasiumRecipe",
    "InitTable",
    "Kind",
    "LinearSchedule",
    "ModelRecipe",
    "NetworkTable",
    "OptimizerTable",
    "OtherAgentTable",
    "Preprocessing",
    "Protocol",
    "RunRecipe",
    "TeacherTable",
    "TrainTable",
    "TranslationRunRecipe",
    "VisionRunRecipe",
    "list_recipes",
    "load_agent",
    "load_data",
    "load_env",
    "load_game",
    "load_model",
    "load_run",
    "make_run_recipe",
    "make_translation_recipe",
    "make_vision_recipe",
    "override",
    "recipe_path",
    "recipe_summary",
    "schedule",
]

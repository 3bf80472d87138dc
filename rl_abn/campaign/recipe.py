"""Schema of a campaign's file: what is measured, which sweeps are trained, how they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from rl_abn.protocols import ProtocolName
from rl_abn.recipes.lookup import read_toml
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Count, Label, Table

Names = Annotated[tuple[Label, ...], Field(strict=False, min_length=1)]
Settings = Annotated[tuple[Label, ...], Field(strict=False)]
Protocols = Annotated[tuple[ProtocolName, ...], Field(strict=False, min_length=1)]


class BenchTable(Table):
    """Rows of `rl-abn bench`; the fields mean what its options do."""

    only: Names
    set: Settings = ()
    repeats: Count = 3
    seconds: Count = 10


class AgreementTable(Table):
    """Agents whose ratio of probabilities is to be 1 before an update; see `bench.agreement`.

    Attributes:
        agents: Names or paths of their recipes; a path is relative to the working folder.
        set: Overrides of them.
    """

    agents: Names
    set: Settings = ()


class CampaignRecipe(Table):
    """A campaign: what is done first stands first.

    Attributes:
        device: Where the networks run, if the command line does not say.
        bench: Measurements of speed, by name.
        agreement: Checks that a rollout and an update compute the same, by name.
        sweeps: Files of sweeps, relative to the campaign's.
        protocols: Under which each finished training is evaluated, as the sweep's [eval] says.
    """

    device: Label = "auto"
    bench: dict[Label, BenchTable] = Field(default_factory=dict)
    agreement: dict[Label, AgreementTable] = Field(default_factory=dict)
    sweeps: Names
    protocols: Protocols = ("legacy",)

    @model_validator(mode="after")
    def _names_are_of_files(self) -> Self:
        for name in (*self.bench, *self.agreement):
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"expected names of letters, digits, '-' and '_', got '{name}'")
        stems = [Path(sweep).stem for sweep in self.sweeps]
        if len({*stems}) < len(stems):
            raise ValueError(f"sweeps: expected files of different names, got {list(self.sweeps)}")
        return self


def read_campaign(path: Path) -> CampaignRecipe:
    """Reads a campaign's file.

    Raises:
        RlAbnError: If it cannot be read or is no campaign.
    """
    return validate(CampaignRecipe, read_toml(path), str(path))

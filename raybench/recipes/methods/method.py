"""What a method is: its hyperparameters, and what of a network it trains, and when.

    method = get_method("full")
    hyperparameters = method.resolve({"learning_rate": 1e-4})      # defaults filled in, types checked
    network = method.attach(network, hyperparameters)              # adapters, prompts: most methods change nothing
    for epoch in range(...): method.unfreeze(network, hyperparameters, epoch)

The training loop is the same for all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raybench.core import ModelSpec
from raybench.core.errors import JobError
from raybench.core.suggestion import did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from raybench.models.network import Network

__all__ = ["Hyperparameters", "Method"]


class Hyperparameters(BaseModel):
    """What a method can be told; every field has a default and says what it means, in a line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    instruction: str = Field(default="", description="a text before every input, as it is, its spaces included")


class Method:
    """Base of all methods; a subclass names itself and overrides what differs."""

    name: ClassVar[str]
    hyperparameters: ClassVar[type[Hyperparameters]] = Hyperparameters
    needs_fit: ClassVar[bool] = True
    on_features: ClassVar[bool] = False  # only a head is fitted, on features that never change
    objectives: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid", "squared")  # what it can minimise, if on features
    shares_base: ClassVar[bool] = False  # the backbone's own weights never change: one copy serves every trial

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All hyperparameters of a trial: those given, checked, and the defaults of the rest.

        Raises:
            JobError: an unknown name or a value of the wrong type or range; its `key` is the name.
        """
        known = self.hyperparameters.model_fields
        for name in given:
            if name not in known:
                raise JobError(
                    f"method {self.name!r}: unknown hyperparameter {name}{did_you_mean(name, known)}", key=(name,)
                )
        try:
            return self.hyperparameters.model_validate(dict(given)).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            message = first["msg"].removeprefix("Value error, ")
            raise JobError(f"method {self.name!r}: {name} {first['input']!r}: {message}", key=(name,)) from error

    def read(self, hyperparameters: Mapping[str, Any]) -> Any:
        """A trial's hyperparameters as the method's own type."""
        return self.hyperparameters.model_validate(dict(hyperparameters))

    def check(self, model: ModelSpec, hyperparameters: Mapping[str, Any]) -> None:
        """Raise IncompatibleError for what the model's configuration already shows cannot work."""

    def adapt(self, model: ModelSpec, hyperparameters: Mapping[str, Any]) -> ModelSpec:
        """The model as this method opens it; planners use it in place of the candidate's."""
        text = str(hyperparameters.get("instruction", ""))
        return dataclasses.replace(model, instruction=text) if text else model

    def attach(self, network: Network, hyperparameters: Any) -> Network:
        """Add what the method trains beside the network's own parameters (in place or around it)."""
        return network

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        """Set `requires_grad` of every parameter for this epoch."""
        raise NotImplementedError

    def epoch_settings(self, hyperparameters: Any, epoch: int, num_rows: int) -> dict[str, Any]:
        """All that decides the steps of an epoch over `num_rows` rows, JSON-like.

        Trials with equal settings for their first epochs run those once, together. Here it is every hyperparameter:
        nothing is shared by trials that differ, whatever a method makes of its own.
        """
        return dict(hyperparameters.model_dump())

    def trained(self, network: Network, hyperparameters: Any) -> list[tuple[str, nn.Parameter]]:
        """Every parameter that some epoch trains, by name, in the network's order."""
        epochs = int(hyperparameters.epochs)
        names: set[str] = set()
        for epoch in range(epochs):
            self.unfreeze(network, hyperparameters, epoch)
            names |= {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        self.unfreeze(network, hyperparameters, 0)
        return [(name, parameter) for name, parameter in network.named_parameters() if name in names]

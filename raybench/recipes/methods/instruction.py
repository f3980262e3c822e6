"""`instruction`: a text that says the task before every input, no weights changed.

Every other method takes the same hyperparameter, so {name: frozen, instruction: "Topic: "} is both at once.
"""

from __future__ import annotations

from pydantic import Field

from raybench.recipes.methods.method import Hyperparameters, Method

__all__ = ["Instruction", "InstructionText"]


class InstructionText(Hyperparameters):
    """The instruction."""

    instruction: str = Field(
        default="Classify: ", min_length=1, description="a text before every input, as it is, its spaces included"
    )


class Instruction(Method):
    """The checkpoint with its own head, on inputs that begin with the instruction."""

    name = "instruction"
    hyperparameters = InstructionText
    needs_fit = False

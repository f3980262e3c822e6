"""Hyperparameters: defaults, types, suggestions."""

import subprocess
import sys

import pytest

from raybench.core.errors import JobError
from raybench.recipes.methods.catalog import METHODS, get_method


@pytest.mark.parametrize("name", METHODS)
def test_defaults_resolve_to_themselves(name: str) -> None:
    method = get_method(name)
    defaults = method.resolve({})
    assert method.resolve(defaults) == defaults


def test_an_unknown_hyperparameter_gets_a_suggestion() -> None:
    with pytest.raises(JobError, match="did you mean learning_rate") as error:
        get_method("full").resolve({"learning_rat": 0.1})
    assert error.value.key == ("learning_rat",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", "fast"), ("learning_rate", -1), ("epochs", 0), ("epochs", 1.5), ("decay", "x")],
)
def test_a_wrong_value_is_one_line_that_names_it(name: str, value: object) -> None:
    with pytest.raises(JobError, match=name) as error:
        get_method("full").resolve({name: value})
    assert "\n" not in str(error.value)
    assert repr(value) in str(error.value)


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    assert get_method("full").resolve({"learning_rate": "1e-4"})["learning_rate"] == 1e-4


def test_an_unknown_method_gets_a_suggestion() -> None:
    with pytest.raises(JobError, match="did you mean frozen"):
        get_method("frozn")


def test_resolving_needs_no_torch() -> None:
    code = (
        "import sys, raybench.recipes.methods.shared_steps\n"
        "from raybench.recipes.methods.catalog import METHODS, get_method\n"
        "for name in METHODS: get_method(name).resolve({})\n"
        "from raybench.tasks.catalog import TASKS, get_task\n"
        "for name in TASKS: get_task(name).metric_config(['a'], {})\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""What can be written in a job file says what it is: every name, every option."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from raybench.core.errors import JobError, RaybenchError
from raybench.metrics.catalog import METRICS
from raybench.recipes.baselines.catalog import BASELINES
from raybench.recipes.methods.catalog import METHODS, get_method
from raybench.report.describe_text import JOB_PARTS, description
from raybench.tasks.catalog import TASKS, get_task

OPTIONS: dict[str, type[BaseModel]] = {
    **JOB_PARTS,
    **{name: get_method(name).hyperparameters for name in METHODS},
    **{name: get_task(name).options for name in TASKS},
}


@pytest.mark.parametrize("name", [*JOB_PARTS, *TASKS, *METHODS, *BASELINES, *METRICS])
def test_every_name_is_listed_and_says_what_it_is(name: str) -> None:
    first, *rest = description(name).splitlines()
    told = first.partition(": ")[2]
    assert first.startswith((f"{name}: ", f"{name}, a "))
    assert len(told.split()) > 2
    assert rest
    assert name in description()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_meaning(name: str) -> None:
    silent = [option for option, field in OPTIONS[name].model_fields.items() if not field.description]
    assert not silent
    told = description(name)
    assert all(f"  {option}" in told for option in OPTIONS[name].model_fields)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("full", "epochs = 3                      passes over the training rows (an integer ≥ 1)"),
        ("full", "gradient_checkpointing = false  less memory for more time (true or false)"),
        ("lora", "learning_rate = 0.0005          AdamW's highest (a number > 0)"),
        ("job", "seeds = [0]               every configuration is fitted once a seed"),
        ("resources", "trial_timeout_minutes             a trial that takes longer is stopped (a number > 0)"),
    ],
)
def test_an_option_is_told_with_its_default_and_what_it_may_be(name: str, line: str) -> None:
    assert f"  {line}" in description(name)


def test_a_task_names_its_columns_its_metric_that_ranks_and_its_baselines() -> None:
    lines = [line.split() for line in description("text-classification").splitlines()]
    assert ["columns", "text,", "text_pair?,", "label"] in lines
    assert ["ranks", "by", "macro_f1"] in lines
    assert ["baselines", "majority,", "tfidf-logistic"] in lines


def test_a_metric_with_a_number_is_told_with_it() -> None:
    assert "cutoff = 7" in description("ndcg_at_7")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ful", "full"),
        ("macro-f1", "macro_f1"),
        ("quux", "lists all names"),
        ("tfidf", "tfidf-logistic, tfidf-one-vs-rest, "),
    ],
)
def test_a_mistyped_name_is_told_in_a_line(name: str, meant: str) -> None:
    with pytest.raises(JobError, match=f"nothing is called '{name}'.*{meant}") as error:
        description(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["no_such:thing", "ndcg_at_x", "", "describe"])
def test_what_is_no_name_of_ours_is_told_in_a_line(name: str) -> None:
    with pytest.raises(RaybenchError) as error:
        description(name)
    assert "\n" not in str(error.value)

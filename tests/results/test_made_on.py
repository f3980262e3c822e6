"""Each row says what it was fitted and scored on; a table that mixes what shapes last digits says so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from raybench.core import ModelSpec
from raybench.results.made_on import distinct, made_on, mixed_notes
from raybench.results.publish import write_tables
from raybench.results.tables import ranking_table
from raybench.store import Store
from tests.results.test_tables import METRICS, TRAITS, entry

FIT = {
    "device": "cpu",
    "device_name": "EPYC",
    "dtype": "float32",
    "threads": 1,
    "versions": {"torch": "1", "numpy": "2"},
}
ROW = {
    "basis": "b", "device": ["cpu"], "device_name": ["EPYC"], "dtype": ["int8"], "threads": [1],
    "versions": {"torch": ["1"], "numpy": ["2"]}, "fit": FIT | {"fit_seconds": 3.0},
}  # fmt: skip


def made(candidate, *, seed=0, model=None, fit=(), **changes):
    one = entry(candidate, 0.5, seed=seed)
    provenance = ROW | changes | {"fit": ROW["fit"] | dict(fit)}
    trial = replace(one.trial, model=ModelSpec(reference=model)) if model else one.trial
    return replace(one, trial=trial, made_on=made_on(provenance))


def test_every_row_of_the_ranking_says_what_fitted_and_what_scored_it():
    one, two = made("a"), made("a", seed=1, threads=[2], versions={"torch": ["1", "9"], "numpy": ["2"]})
    (row,) = ranking_table([one, two], METRICS, {"d": "accuracy"}, TRAITS).to_pylist()
    assert json.loads(row["made_on"]) == {
        "fit": {"device": ["cpu"], "device_name": ["EPYC"], "dtype": ["float32"], "threads": [1],
                "versions": {"numpy": ["2"], "torch": ["1"]}},
        "score": {"device": ["cpu"], "device_name": ["EPYC"], "dtype": ["int8"], "threads": [1, 2],
                  "versions": {"numpy": ["2"], "torch": ["1", "9"]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("other", "note"),
    [
        ({}, None),
        ({"threads": [2]}, "threads 1 and 2"),
        ({"fit": {"threads": 4}}, "threads 1 and 4"),
        ({"device_name": ["Xeon"]}, "processor EPYC and Xeon"),
        ({"fit": {"device_name": "Xeon"}}, "processor EPYC and Xeon"),
        ({"fit": {"device": "cuda"}}, "device cpu and cuda"),
        ({"versions": {"torch": ["1", "3"]}}, "torch 1 and 3"),
        ({"fit": {"versions": {"torch": "3"}}}, "torch 1 and 3"),
        ({"seed": 1, "candidate": "a", "dtype": ["float32"]}, "dtype float32 and int8"),
        ({"seed": 1, "candidate": "a", "fit": {"dtype": "bfloat16"}}, "dtype bfloat16 and float32"),
        ({"dtype": ["float32"]}, None),  # another candidate's, as its job says
        ({"model": "baseline:majority", "device": ["cuda"], "fit": {"device": "cuda"}}, None),  # not beside models
        ({"device_name": [""], "versions": {}}, None),  # of an older version, which did not say
    ],
)
def test_a_table_that_mixes_what_shapes_last_digits_says_so(other, note):
    notes = mixed_notes([made("a"), made(**{"candidate": "b", **other})])
    assert notes == ([f"trials ran with {note}: last digits may differ between them"] if note else [])


def test_trials_that_have_not_ended_well_are_made_on_nothing():
    assert mixed_notes([entry("a", 0.5), made("b")]) == []
    assert [one["num_trials"] for one in distinct([entry("a", 0.5), made("b"), made("b", seed=1)])] == [2]


def test_whoever_writes_tables_notes_the_mix_and_its_environment(tmp_path):
    run = Store.open(str(tmp_path)).run("r")
    ranking = write_tables(
        run, [made("a"), made("b", threads=[2])], METRICS, {"d": "accuracy"}, TRAITS, notes=("first",)
    )
    assert ranking.notes == ("first", "trials ran with threads 1 and 2: last digits may differ between them")
    environment = run.read_json("environment.json")
    assert [one["score"]["threads"] for one in environment["trials"]] == [[1], [2]]
    assert {"torch", "transformers", "ray", "raybench"} <= environment["versions"].keys()

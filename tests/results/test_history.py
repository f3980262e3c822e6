"""A metric over nights: a place a night, gaps where nothing was, and a word where the data changed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from raybench.cli import app
from raybench.core.errors import MetricError, StoreError
from raybench.report.history_table import sparkline
from raybench.results.history import history
from raybench.store import Store
from tests.results.nights import Scored, publish_run

LEVELS = (0.5, 0.6, 0.9)


@pytest.fixture
def store(tmp_path):
    """Three nights of a candidate that gets better, another that came with the second, and other data in the third."""
    url = str(tmp_path / "store")
    for night, level in enumerate(LEVELS):
        right = np.arange(100) < 100 * level
        data = "d1" if night == 2 else "d0"
        scored = [Scored(candidate="x", right=right, weights=f"w{night}", fingerprint=data)]
        if night:
            scored.append(Scored(candidate="y", right=~right, weights=f"y{night}", fingerprint=data))
        publish_run(url, f"nightly-{night}", scored, f"2026-11-2{night}T03:00:00Z")
    publish_run(url, "rescore-1", [Scored(candidate="x", right=right, weights="w2")], "2026-11-29T03:00:00Z")
    return url


def fail(path, reason):
    raise AssertionError(f"{path}: {reason}")


def test_a_series_has_a_place_for_every_night(store):
    series = {one.cell.candidate: one for one in history(Store.open(store), metric=None, last=30, skipped=fail)}
    assert [point.value for point in series["x"].points] == pytest.approx(LEVELS)
    assert series["y"].points[0] is None
    assert series["y"].points[2].value == pytest.approx(0.1)
    assert [night.run_id for night in series["x"].nights] == ["nightly-0", "nightly-1", "nightly-2"]


def test_a_candidate_of_one_configuration_is_one_series_whatever_was_chosen(tmp_path):
    url, right = str(tmp_path / "store"), np.arange(100) < 50
    for night, rate in enumerate((0.1, 0.2)):
        chosen = Scored(candidate="x", right=right, hyperparameters={"lr": rate})
        tried = Scored(candidate="x", right=right, dataset="topics (validation)", scored="validation")
        publish_run(url, f"nightly-{night}", [chosen, tried], f"2026-11-2{night}T03:00:00Z")
    (series,) = history(Store.open(url), metric=None, last=30, skipped=fail)
    assert (series.cell.hyperparameters, len(series.points)) == ('{"lr":0.2}', 2)
    assert None not in series.points


def test_only_the_last_nights_are_shown(store):
    (series, _) = history(Store.open(store), metric="macro_f1", last=2, skipped=fail)
    assert (series.metric, len(series.points)) == ("macro_f1", 2)


def test_an_unknown_metric_and_an_empty_store_are_one_line(store, tmp_path):
    with pytest.raises(MetricError, match="no ranking has metric 'acuracy'; did you mean accuracy"):
        history(Store.open(store), metric="acuracy", last=30, skipped=fail)
    with pytest.raises(StoreError, match="holds no finished run"):
        history(Store.open(str(tmp_path / "empty")), metric=None, last=30, skipped=fail)


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0.8, 0.9, None, 0.85], "▁█·▄"), ([], ""), ([None], "·"), ([3.0, 3.0], "▁▁"), ([2.0, -1.0], "█▁")],
)
def test_bars_go_from_the_lowest_to_the_highest(values, bars):
    assert sparkline(values) == bars


def test_what_moves_less_than_its_interval_looks_flat():
    assert sparkline([0.8, 0.81], least_width=0.1) in ("▄▅", "▄▄", "▅▅")


def test_the_command_shows_nights_and_says_when_the_data_changed(store, tmp_path):
    path = tmp_path / "history.csv"
    done = CliRunner().invoke(app, ["history", store, "--output", str(path)])
    assert done.exit_code == 0, done.output
    assert "nightly on topics, accuracy: 3 nights, 2026-11-20 to 2026-11-22" in done.output
    assert "▁▃█" in done.output
    assert "·█▁" in done.output
    assert "note: the data changed with nightly-2 (2026-11-22)" in done.output
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["candidate"], float(row["value"])) for row in rows[:3]] == [("x", 0.5), ("x", 0.6), ("x", 0.9)]
    assert len(rows) == 5

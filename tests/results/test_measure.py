"""Measuring: trials side by side are measured as each alone, whatever is read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raybench.core import Status, slice_column
from raybench.results import measure
from raybench.results.measure import Measured, Measurer, Measuring
from raybench.store.files import Files
from raybench.store.held_records import HeldRecords
from raybench.store.records import write_records
from raybench.store.trials import TrialRow

HOW = Measuring(
    metrics=("accuracy", "macro_f1", "log_loss", "ece", "roc_auc"), metric_config={"labels": ["x", "y"]},
    ranked=("macro_f1", "log_loss"), slices=("source",), measures="some", picks="macro_f1", anew=False,
)  # fmt: skip
NUM_ROWS = 60


def records(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=NUM_ROWS)
    target = np.arange(NUM_ROWS) % 2
    prediction, right = (score > 0).astype(np.int32), 1 / (1 + np.exp(-np.where(target, score, -score)))
    columns = {"target": target.astype(np.int32), "prediction": prediction, "score": score.astype(np.float32)}
    sure = {"confidence": np.maximum(right, 1 - right).astype(np.float32), "nll": -np.log(right)}
    return pa.table({"id": [f"r{row}" for row in range(NUM_ROWS)], **columns, **sure})


def plain(one: Measured) -> tuple[object, ...]:
    return one.scores, one.slices, {name: values.tolist() for name, values in one.replicates.items()}, one.picked


@pytest.mark.parametrize("together", [0, 2 * NUM_ROWS, 1 << 13])
def test_trials_side_by_side_are_measured_as_each_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(measure, "_TOGETHER", together)
    files, metrics, held, rows = Files(str(tmp_path)), HOW.metric_set(), HeldRecords(), []
    for seed in (0, 1, 1, 2, 0):
        table, trial_id = records(seed), f"t{len(rows)}"
        write_records(files, trial_id, "basis", 0, 1, table)
        if seed:  # the others are read from the store
            held.add(trial_id, "basis", 0, 1, table)
        states = metrics.states(table).to_bytes()
        known = {"trial_id": trial_id, "status": Status.OK, "num_examples": NUM_ROWS, "states": states}
        rows.append(TrialRow(**known, provenance={"basis": "basis"}))
    sources = pa.array(["web" if row % 3 else "print" for row in range(NUM_ROWS)])
    test = pa.table({"id": [f"r{row}" for row in range(NUM_ROWS)], slice_column("source"): sources})
    alone = [plain(one) for row in rows for one in Measurer(HOW, test, files, pytest.fail).measure([row])]
    assert [plain(one) for one in Measurer(HOW, test, files, pytest.fail, held).measure(rows)] == alone
    assert len({str(one) for one in alone}) == 3
    assert Measurer(HOW, test, files, pytest.fail).measure([]) == []

"""The laws that every metric passes, whatever it measures, and records to try them on."""

import io
from collections.abc import Callable
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raybench.core import Score
from raybench.core.errors import MergeError
from raybench.metrics import MetricSet, StateSet, evaluate

Conforms = Callable[..., None]


def check_laws(names: list[str], records: pa.Table, config: dict, *, examples: int = 5) -> None:
    """Identity, associativity, commutativity, any split, inputs unchanged, Arrow and Parquet round trips."""
    metrics = MetricSet(names, config)
    whole = metrics.states(records)
    expected = metrics.compute(whole, lambda: records, seed=3)
    assert evaluate(names, records, config, seed=3) == expected
    for name, score in expected.items():
        check_score(score, metrics.info(name).range)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def any_split_order_and_tree(data: st.DataObject) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, records.num_rows), max_size=6)))
        order = np.random.default_rng(data.draw(st.integers(0, 2**32))).permutation(records.num_rows)
        shuffled = records.take(pa.array(order))
        bounds = [0, 0, *cuts, records.num_rows]  # one shard at least is empty
        shards = [shuffled.slice(start, stop - start) for start, stop in pairwise(bounds)]
        states = [metrics.states(shard) for shard in shards]
        before = [state.to_arrow() for state in states]
        forest = list(states)
        while len(forest) > 1:
            first = forest.pop(data.draw(st.integers(0, len(forest) - 1)))
            second = forest.pop(data.draw(st.integers(0, len(forest) - 1)))
            forest.append(first.merge(second))
        merged = forest[0]
        assert merged == whole
        assert states[0].merge(*states[1:]) == whole
        assert merged.merge(metrics.empty()) == merged == metrics.empty().merge(merged)
        assert reduce(StateSet.merge, reversed(states), metrics.empty()) == whole
        assert [state.to_arrow() for state in states] == before
        assert through_parquet(merged) == merged
        assert reduce(StateSet.merge, map(through_parquet, states), metrics.empty()) == whole
        assert metrics.compute(merged, lambda: pa.concat_tables(reversed(shards)), seed=3) == expected

    any_split_order_and_tree()
    if records.num_rows:
        with pytest.raises(MergeError, match="twice"):
            whole.merge(whole)
    for score in metrics.compute(metrics.empty(), lambda: records.slice(0, 0)).values():
        assert score.value is None
        assert "no examples" in (score.reason or "")


def check_score(score: Score, bounds: tuple[float, float]) -> None:
    if score.value is None:
        assert score.reason
        assert score.low is None
        return
    assert isinstance(score.value, float)
    assert bounds[0] <= score.value <= bounds[1]
    if score.low is not None and score.high is not None:
        assert score.low <= score.high
    for of_class in score.per_class.values():
        check_score(of_class, bounds)


def through_parquet(states: StateSet) -> StateSet:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([states.to_arrow()]), file)
    return StateSet.from_arrow(pq.read_table(file))


@pytest.fixture
def conforms() -> Conforms:
    return check_laws


def classification_table(num_rows: int, num_classes: int, *, seed: int = 0, skill: float = 1.5) -> pa.Table:
    """Records of a model that is right more often than not."""
    import torch

    from raybench.metrics.records import classification_records

    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_rows, num_classes, generator=generator)
    target = torch.randint(0, num_classes, (num_rows,), generator=generator)
    logits[torch.arange(num_rows), target] += skill
    columns = classification_records(logits, target)
    scores = columns.pop("scores", None)
    table = {
        "id": pa.array([f"example-{seed}-{row}" for row in range(num_rows)], type=pa.string()),
        "target": pa.array(target.numpy().astype(np.int32)),
        **{name: pa.array(column) for name, column in columns.items()},
    }
    if scores is not None:
        table["scores"] = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), num_classes)
    return pa.table(table)


@pytest.fixture
def classified() -> Callable[..., pa.Table]:
    return classification_table

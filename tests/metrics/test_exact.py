"""Exact sums, exact integers, states and coverage: the arithmetic that everything else rests on."""

import io
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core.errors import CoverageError, MergeError, MetricError
from raybench.metrics import Coverage, StateSet
from raybench.metrics.bootstrap import Units
from raybench.metrics.coverage import id_hashes
from raybench.metrics.exact_sum import as_fraction, exact_column_sums, exact_sum, two_product
from raybench.metrics.integers import add, as_exact, decode, encode
from raybench.metrics.metric import Measure, OneHot
from raybench.metrics.state import Cells, State

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200)
@given(st.lists(FLOATS, max_size=30))
def test_exact_sum_is_the_sum_of_fractions(values):
    assert as_fraction(exact_sum(np.array(values))) == sum(map(Fraction, values), Fraction(0))


@settings(max_examples=50)
@given(st.lists(FLOATS, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_exact_sum_does_not_depend_on_order_or_split(values, random):
    shuffled = random.sample(values, len(values))
    cut = random.randrange(len(values))
    parts = exact_sum(np.array(shuffled[:cut])) + exact_sum(np.array(shuffled[cut:]))
    assert parts == exact_sum(np.array(values))


def test_exact_column_sums_are_those_of_the_columns():
    values = np.random.default_rng(0).normal(size=(70_000, 3)) * [1, 1e100, 1e-300]
    assert exact_column_sums(values) == [exact_sum(column) for column in values.T.copy()]


def test_exact_sum_survives_many_chunks_of_the_largest_mantissas():
    values = np.full(200_000, np.nextafter(2.0, 0))
    assert as_fraction(exact_sum(values)) == 200_000 * Fraction(values[0])


@settings(max_examples=200)
@given(
    st.floats(min_value=-1e100, max_value=1e100).filter(lambda x: x == 0 or abs(x) > 1e-100),
    st.floats(min_value=-1e100, max_value=1e100).filter(lambda x: x == 0 or abs(x) > 1e-100),
)
def test_two_product_is_the_exact_product(a, b):
    product, error = two_product(np.array([a]), np.array([b]))
    assert Fraction(product[0]) + Fraction(error[0]) == Fraction(a) * Fraction(b)


@settings(max_examples=100)
@given(st.integers(-(2**2000), 2**2000))
def test_integers_of_any_length_survive_encoding(value):
    assert decode(encode(value)) == value


def test_adding_beyond_int64_goes_on_in_python_integers():
    big = as_exact([2**63 - 1, 5])
    total = add(big, big)
    assert total.tolist() == [2**64 - 2, 10]
    assert add(total, as_exact([-(2**64) + 2, 0])).dtype == np.int64


def cells(places: dict[int, int]) -> Cells:
    return Cells.of(np.array(sorted(places)), as_exact(places[k] for k in sorted(places)), size=10)


def state(places: dict[int, int]) -> State:
    return State(measure="m", config="c", fields={"n": cells({0: 1}), "cells": cells(places)})


@settings(max_examples=100)
@given(*[st.dictionaries(st.integers(0, 9), st.integers(-(2**70), 2**70).filter(bool), max_size=10)] * 3)
def test_states_are_a_commutative_monoid(x, y, z):
    a, b, c = state(x), state(y), state(z)
    empty = State(measure="m", config="c")
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == a.merge(b, c)
    assert a.merge(empty) == empty.merge(a) == a
    assert a == state(x)
    round_trip = StateSet.from_arrow(StateSet(states={"m:c": a.merge(b)}).to_arrow())
    assert round_trip.states["m:c"] == a.merge(b)


def test_counts_beyond_53_and_63_bits_survive_parquet():
    total = StateSet(states={"m:c": state({3: 2**53 + 1, 4: 2**90 + 1})})
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([total.to_arrow()]), file)
    assert StateSet.from_arrow(pq.read_table(file)) == total
    assert total.merge(total).states["m:c"].fields["cells"].values.tolist() == [2**54 + 2, 2**91 + 2]


def test_states_of_other_measures_and_sizes_are_refused():
    with pytest.raises(MergeError):
        state({}).merge(State(measure="other", config="c"))
    with pytest.raises(MergeError):
        state({1: 1}).merge(State(measure="m", config="c", fields={"cells": Cells.from_dense([1], size=1)}))


def test_states_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        state({1: 1}).fields["cells"].values[0] = 7


def test_nonfinite_numbers_are_counted_apart_and_come_back_as_what_they_are():
    def contributions(records, options):
        return {"n": np.ones(records.num_rows, dtype=np.int64), "x": records["x"].to_numpy()}

    measure = Measure(name="x", columns=("x",), contributions=contributions)
    sums = {}
    for name, values in {"inf": [1.0, np.inf], "nan": [1.0, np.nan], "both": [np.inf, -np.inf]}.items():
        sums[name] = measure.state(pa.table({"x": values}), {}).sums()["x"][0]
    assert sums["inf"] == np.inf
    assert np.isnan(sums["nan"])
    assert np.isnan(sums["both"])


@pytest.mark.parametrize(("odd", "expected"), [([np.inf], np.inf), ([-np.inf], -np.inf), ([np.inf, -np.inf], np.nan)])
def test_finite_numbers_beyond_float64_in_sum_change_nothing_of_what_is_infinite(odd, expected):
    measure = Measure(name="x", columns=("x",), contributions=lambda records, options: {"x": records["x"].to_numpy()})
    total = measure.state(pa.table({"x": [1.7e308, 1.7e308, *odd]}), {}).sums()["x"][0]
    np.testing.assert_equal(total, expected)


def test_coverage_does_not_depend_on_order_or_split():
    ids = [f"row {k}" for k in range(50)]
    whole = Coverage.of(ids)
    assert whole == Coverage.of(ids[::-1])
    assert whole == Coverage.of(ids[30:]).merge(Coverage.of(ids[:10]), Coverage.of(ids[10:30]))
    assert whole.merge(Coverage()) == whole == Coverage().merge(whole)


def test_coverage_names_holes_repeats_and_strangers():
    expected = Coverage.of(["a", "b", "c"])
    with pytest.raises(CoverageError, match="1 of 3 examples are missing"):
        Coverage.of(["a", "b"]).check(expected)
    with pytest.raises(CoverageError, match="1 examples too many"):
        Coverage.of(["a", "b"]).merge(Coverage.of(["c", "d"])).check(expected)
    with pytest.raises(MergeError, match="1 examples were to be merged twice"):
        Coverage.of(["a", "b"]).merge(Coverage.of(["c", "b"]))
    with pytest.raises(CoverageError, match="not the 3 of the split"):
        Coverage.of(["a", "b", "x"]).check(expected)
    Coverage.of(["c", "a"]).merge(Coverage.of(["b"])).check(expected)


def test_hashes_depend_on_the_id_alone():
    lone = {text: id_hashes([text])[0].tolist() for text in ("a", "a\0", "", "ä" * 40, "b" * 64, "b" * 65)}
    together = id_hashes(list(lone))
    assert [row.tolist() for row in together] == list(lone.values())
    assert len({tuple(row) for row in lone.values()}) == len(lone)
    part = pa.array(["of", "a", "larger", *lone]).slice(3)
    for ids in (part, pa.chunked_array([part.slice(0, 2), part.slice(2)]), part.dictionary_encode()):
        assert (id_hashes(ids) == together).all()
    # stored states and the draws of every interval hang on them
    assert lone["a"] == [9110145845580220759, 2969662348355714700]
    assert lone["b" * 65] == [17974319825083549359, 1228377407212342952]


def test_hashes_of_like_ids_do_not_collide_and_are_uniform():
    hashes = id_hashes([f"{k}" for k in range(50_000)])
    assert np.unique(hashes[:, 0]).size == 50_000
    counts = np.bincount((hashes[:, 0] >> np.uint64(60)).astype(int), minlength=16)
    assert abs(counts - 3125).max() < 5 * 3125**0.5


def test_foreign_batches_are_no_states():
    with pytest.raises(MetricError, match="not a set of metric states"):
        StateSet.from_arrow(pa.record_batch({"x": [1]}))


def test_replicates_of_several_contributions_are_those_of_each_alone():
    draw = np.random.default_rng(0)
    units = Units.of(pa.table({"id": [f"e{place}" for place in range(300)]}), seed=1)
    contributions = {
        "n": np.ones(300, dtype=np.int64),
        "loss": draw.gamma(1.0, 3.0, 300),
        "bins": draw.normal(size=(300, 15)),
        "cells": OneHot(draw.integers(-1, 12, 300), 12),
        "wide": OneHot(draw.integers(0, 5000, 300), 5000),
    }
    together = units.replicate(contributions)
    for name, contribution in contributions.items():
        alone = units.replicate({name: contribution}).fields[name].values_RK
        assert np.array_equal(together.fields[name].values_RK, alone), name

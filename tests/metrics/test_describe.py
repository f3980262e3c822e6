"""What `describe` says of a metric is what the metric does."""

import pytest

from raybench.core.errors import MetricError
from raybench.metrics import METRICS, describe, evaluate


@pytest.mark.parametrize(
    ("name", "config", "columns"),
    [
        ("roc_auc", None, ("target", "score")),
        ("roc_auc", {"labels": ["a", "b"]}, ("target", "score")),
        ("roc_auc", {"labels": ["a", "b", "c"]}, ("target", "scores")),
        ("top_5_accuracy", {}, ("target", "rank")),
        ("coco_ap", {}, ("truth_boxes", "truth_labels", "boxes", "labels", "box_scores")),
    ],
)
def test_columns_are_those_of_the_options_at_hand(name, config, columns):
    assert describe(name, config).columns == columns


def test_every_option_is_there_with_its_default_value_meaning_and_range():
    info = describe("ece", {"bins": 10})
    bins = info.options["bins"]
    assert (bins.default, bins.value, bins.required) == (15, 10, False)
    assert str(bins) == "bins = 10 (default 15): bins of equal width for the confidence; an integer from 1 up"
    labels = describe("macro_f1").options["labels"]
    assert (labels.required, labels.value) == (True, None)
    assert "found in the data" in str(labels)
    assert describe("top_3_accuracy").options["top_k"].value == 3
    for one in describe():
        for name, option in one.options.items():
            assert option.name == name
            assert option.meaning != "an option of the metric's own", (one.name, name)


def test_all_of_the_catalogue_is_described_and_prints():
    infos = describe()
    assert [info.name for info in infos] == list(METRICS)
    for info in infos:
        said = str(info)
        for part in (info.name, info.unit, info.source, info.interval, info.undefined, *info.columns):
            assert part
            assert part in said
        assert describe(info.name) == info


def test_what_is_described_is_enough_to_call_the_metric():
    info = describe("average_precision")
    score = evaluate("average_precision", **{column: [0, 1, 1] for column in info.columns})
    assert info.range[0] <= score.value <= info.range[1]


def test_unknown_names_and_options_are_refused_with_the_nearest():
    with pytest.raises(MetricError, match="did you mean 'macro_f1'"):
        describe("macro_f2")
    with pytest.raises(MetricError, match="unknown option 'bin'; did you mean bins"):
        describe("ece", {"bin": 3})
    with pytest.raises(MetricError, match="'bins' is 0"):
        describe("ece", {"bins": 0})


def test_the_measured_coverage_of_the_interval_is_told_with_the_cells_that_are_off():
    from raybench.metrics.measured import _cells, outside

    for name, cells in _cells().items():
        told = describe(name).coverage
        odd = [cell for cell in cells if outside(cell)]
        assert told.startswith(f"measured to hold in 93 to 97 % in {len(cells) - len(odd)} of {len(cells)} settings")
        assert all(f"{cell['coverage']:g} % ({cell['setting']}, n = {cell['n']})" in told for cell in odd)
    assert describe("top_5_accuracy").coverage == describe("top_2_accuracy").coverage != ""
    assert describe("accuracy").coverage in str(describe("accuracy"))

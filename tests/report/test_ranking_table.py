"""The ranking on a terminal: of a metric, of several, and of perturbed rows against what they were."""

from __future__ import annotations

import io

from rich.console import Console

from raybench.core import Status
from raybench.report.ranking_table import print_ranking
from raybench.results.drops import drops_table
from raybench.results.ranking import Ranking
from tests.results.test_drops import RANK_BY, entries, tables
from tests.results.test_tables import entry, table


def printed(ranked, drops=None):
    out = io.StringIO()
    ranking = Ranking(run_id="r", table=ranked, scores=ranked, location="", drops=drops)
    print_ranking(ranking, Console(file=out, width=120, highlight=False))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_several_metrics_stand_beside_their_mean_rank():
    lines = printed(table([entry("poor", 0.2), entry("good", 0.9)], "2 accuracy + 1 log_loss"))
    assert lines[0] == "d, 50 examples, by weighted mean rank (2 accuracy + 1 log_loss)"
    assert lines[1].startswith("rank (95 %) candidate mean rank accuracy log_loss fit s examples/s")
    assert lines[2].startswith("1 (1) good 1.00 0.900 0.100 ")


def test_one_metric_stands_with_its_interval():
    lines = printed(table([entry("good", 0.9)]))
    assert lines[0] == "d, 50 examples, by accuracy"
    assert lines[2].startswith("1 (1) good 0.900 0.800 – 1.000 ")


def test_below_a_perturbed_dataset_stands_what_changed():
    given = entries()
    drops = drops_table(given, RANK_BY, tables(given, {("one", "d"): 0.9, ("one", "d-typos"): 0.6}).__getitem__)
    lines = printed(table(given, RANK_BY), drops)
    place = lines.index("d-typos against d, on the same examples")
    assert lines[place + 1] == "candidate metric before after change 95 % interval adj. p"
    assert lines[place + 2].startswith("one accuracy 0.850 0.595 -0.255 ")
    assert lines[place + 2].endswith("< 0.001")
    assert not any("against" in line for line in printed(table(given, RANK_BY), drops.slice(0, 0)))


def test_why_some_have_no_rank_stands_below_with_their_names_or_with_how_many_they_are():
    short = [entry(name, None, status=Status.OOM, reason="no room") for name in ("b", "c")]
    many = [entry(f"m{number}", None, status=Status.FAILED, reason="no file") for number in range(4)]
    lines = printed(table([entry("good", 0.9), entry("worse", None, status=Status.STOPPED, reason="r"), *short, *many]))
    assert lines[-3:] == ["4 × failed: no file", "b on d, c on d: oom: no room", "worse on d: stopped: r"]

"""Among a candidate's configurations the one to be scored on the test rows, by how they did on the validation rows.

    chosen, lines = choose(plan, rows, known)       # plan.offered → the trials of the best; lines say what was chosen

Scores of a configuration are averaged over its seeds; equal ones are told apart by the order in which the job names
them. A configuration of which a trial did not end well is not chosen. While trials are still to end, nothing is.

Where the dataset asks for it, each fit has a threshold picked on its validation rows: a configuration is judged with
it, and its test rows are predicted with it.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raybench.core import Status
from raybench.core.identity import canonical_json
from raybench.job.rank_by import weights_of
from raybench.metrics import MetricSet
from raybench.metrics.thresholds import HALF, Picked
from raybench.planning.datasets import PlannedDataset, validation_name
from raybench.planning.plan import Plan, PlannedTrial, Problem
from raybench.planning.races import with_races
from raybench.planning.thresholds import with_threshold
from raybench.results.criterion import Criterion
from raybench.results.entry import Configuration
from raybench.results.measure import Measured
from raybench.results.settled import is_settled
from raybench.store.trials import TrialRow

__all__ = ["choose", "criterion_of", "is_over", "means_of"]


def choose(plan: Plan, rows: Mapping[str, TrialRow], measured: Mapping[str, Measured]) -> tuple[Plan, list[str]]:
    """The plan with what is to be scored on test rows among its trials, nothing offered, and a line a choice.

    `measured` are the trials among `rows` that ended well. Of a candidate without a choice one trial is left in the
    plan, with the reason as its problem.
    """
    tried = _groups(one for one in plan.trials if one.trial.dataset.scored == "validation")
    trials, lines = list(plan.trials), {}
    for (candidate, dataset), offered in _groups(plan.offered).items():
        by = criterion_of(plan.datasets[dataset])
        on = plan.datasets[dataset].chosen_on
        attempts = tried[candidate, validation_name(on)]
        means = {configuration: means_of(group, rows, measured, by) for configuration, group in attempts.items()}
        scores = {configuration: found for configuration, found in means.items() if found is not None}
        best = next(iter(by.order(scores)), None) if _all_ended(attempts, rows) else None
        if best is None:
            first = next(iter(offered.values()))[0]
            trials.append(replace(first, problem=_why_none(attempts, rows)))
            continue
        picked = {one.trial.seed: measured[one.trial.trial_id].picked for one in attempts[best]}
        trials += [_cut(one, picked[one.trial.seed]) for one in offered[best]]
        if len(attempts) == 1:
            lines[candidate, on] = f"{candidate} on {on}: {_thresholds(picked)}; it was scored on the test rows with it"
            continue
        differing = _differing(best, list(attempts))
        values = ", ".join(f"{name} {value:.3f}" for name, value in scores[best].items())
        lines[candidate, on] = (  # the same for all datasets that are like it
            f"{candidate} on {on}: {differing} is the best of {len(attempts)} configurations on the validation "
            f"rows ({values}); it alone was scored on the test rows{_thresholds(picked, ', with ')}"
        )
    return with_races(replace(plan, trials=tuple(trials), offered=())), list(lines.values())


def _groups(trials: Any) -> dict[tuple[str, str], dict[Configuration, list[PlannedTrial]]]:
    """By candidate and dataset, the seeds of each configuration."""
    groups: dict[tuple[str, str], dict[Configuration, list[PlannedTrial]]] = defaultdict(lambda: defaultdict(list))
    for planned in trials:
        trial = planned.trial
        groups[trial.candidate, trial.dataset.name][Configuration.of(trial)].append(planned)
    return groups


def _all_ended(attempts: Mapping[Configuration, list[PlannedTrial]], rows: Mapping[str, TrialRow]) -> bool:
    wanted = [one.trial.trial_id for seeds in attempts.values() for one in seeds if one.problem is None]
    return all(is_over(rows.get(one)) for one in wanted)


def is_over(row: TrialRow | None) -> bool:
    """Whether it is known how a trial ends: it was neither cut off nor left out."""
    if row is None or row.status is Status.PREEMPTED:
        return False
    return row.status is not Status.STOPPED or is_settled("stopped", row.reason)


def criterion_of(dataset: PlannedDataset) -> Criterion:
    """What chooses on a dataset."""
    names = tuple(weights_of(dataset.rank_by))
    metrics = MetricSet(names, dataset.metric_config)
    return Criterion.of(dataset.rank_by, {name: metrics.info(name).higher_is_better is not False for name in names})


def means_of(
    seeds: Sequence[PlannedTrial], rows: Mapping[str, TrialRow], measured: Mapping[str, Measured], by: Criterion
) -> dict[str, float] | None:
    """By metric that ranks the mean over seeds; None: one has not ended well, or a score is undefined."""
    values: dict[str, list[float]] = {name: [] for name in by.weights}
    for planned in seeds:
        row, found = rows.get(planned.trial.trial_id), measured.get(planned.trial.trial_id)
        if found is None or row is None or row.status is not Status.OK:
            return None
        for name in by.weights:
            score, picked = found.scores.get(name), found.picked
            value = picked.value if picked is not None and picked.metric == name else score.value if score else None
            if value is None:
                return None
            values[name].append(value)
    return {name: math.fsum(found) / len(found) for name, found in values.items()}


def _cut(planned: PlannedTrial, picked: Picked | None) -> PlannedTrial:
    return planned if picked is None else with_threshold(planned, picked.threshold)


def _thresholds(picked: Mapping[int, Picked | None], before: str = "") -> str:
    """`threshold 0.31, picked on the validation rows by macro_f1 (0.930; 0.912 at 0.5)`, of several seeds one each."""
    found = [one for _, one in sorted(picked.items()) if one is not None]
    if not found:
        return ""
    means = []
    for values in ([one.value for one in found], [one.at_half for one in found]):
        defined = [value for value in values if value is not None]
        means.append(f"{math.fsum(defined) / len(defined):.3f}" if len(defined) == len(found) else "undefined")
    cuts = ", ".join(f"{one.threshold:g}" for one in found)
    kind = "threshold" if len(found) == 1 else "thresholds (one a seed)"
    by = f"picked on the validation rows by {found[0].metric} ({means[0]}; {means[1]} at {HALF})"
    return f"{before}{kind} {cuts}, {by}"


def _why_none(attempts: Mapping[Configuration, list[PlannedTrial]], rows: Mapping[str, TrialRow]) -> Problem:
    """What the first trial that did not end well says."""
    if not _all_ended(attempts, rows):
        reason = "its configurations are not all tried; run the same command to go on"
        return Problem(status=Status.STOPPED, reason=reason)
    for planned in (one for seeds in attempts.values() for one in seeds):
        if planned.problem is not None:
            return planned.problem
        row = rows[planned.trial.trial_id]
        if row.status is not Status.OK:
            reason = f"no configuration ended well on the validation rows: {row.reason}"
            return Problem(status=row.status, reason=reason)
    return Problem(status=Status.FAILED, reason="its score is undefined on the validation rows")


def _differing(configuration: Configuration, among: Sequence[Configuration]) -> str:
    """`learning_rate=0.1`: what tells it from the others."""
    settings = [json.loads(one.hyperparameters) for one in among]
    own = json.loads(configuration.hyperparameters)
    keys = [key for key in own if len({canonical_json(one.get(key)) for one in settings}) > 1]
    return ", ".join(f"{key}={own[key]}" for key in keys) or configuration.method

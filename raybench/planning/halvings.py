"""Whose fits are halved: a candidate's configurations, of which the best on validation rows are fitted on.

    plan = with_halvings(plan)
    plan.halvings[0].stages                     # 9 configurations for 1 epoch, the best 3 for 3, the best of all for 9

Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943), all of a rung before any of the next, so that its
outcome hangs on no arrival; `eta` and how many go on are Hyperband's (Li et al. 2018, arXiv:1603.06560).

A trial of a rung is the whole trial as it is after some of its epochs: same schedule of the learning rate, same bits.
It has an id, a row and records of its own; its fit begins where that of the rung before ended. Among candidates nothing
is halved: a ranking is asked about each of them, and each wants its score on the test rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from raybench.core.errors import JobError
from raybench.core.identity import canonical_json, content_hash
from raybench.recipes.recipe import recipe_of

if TYPE_CHECKING:
    from raybench.planning.plan import Plan, PlannedTrial

__all__ = ["PlannedHalving", "Rung", "Stage", "expected", "halving_notes", "rungs_of", "with_halvings"]


class Rung(NamedTuple):
    """After so many epochs the best so many configurations go on."""

    epochs: int
    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All configurations after so many epochs, each with its trials, one a seed; the last stage keeps none."""

    epochs: int
    keep: int
    trials: tuple[tuple[PlannedTrial, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHalving:
    """The configurations of a candidate on validation rows, from the first rung to whole fits.

    `key` hashes all that decides who goes on.
    """

    key: str
    candidate: str
    dataset: str
    rank_by: str
    stages: tuple[Stage, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many configurations each stage has."""
        return len(self.stages[0].trials), *(stage.keep for stage in self.stages[:-1])

    @property
    def num_epochs(self) -> int:
        """How many epochs are fitted, those of a seed."""
        before = (0, *(stage.epochs for stage in self.stages))
        return sum(
            size * (stage.epochs - behind) for size, stage, behind in zip(self.sizes, self.stages, before, strict=False)
        )


def rungs_of(num: int, num_epochs: int, *, eta: int, rungs: Sequence[int] | Literal["auto"]) -> tuple[Rung, ...]:
    """The rungs of so many configurations on their way through so many epochs: until one is left.

    `auto`: a fit's epochs divided by eta as often as the configurations can be; the last rung is at 1/eta of the fit.
    """
    if rungs == "auto":
        at, left = [num_epochs // eta or 1], num // eta
        while left >= eta and at[-1] >= eta:
            at, left = [*at, at[-1] // eta], left // eta
        rungs = at[::-1]
    found: list[Rung] = []
    for epochs in rungs:
        if num < 2 or epochs >= num_epochs:
            break
        num = max(1, num // eta)
        found.append(Rung(epochs, num))
    return tuple(found)


def with_halvings(plan: Plan) -> Plan:
    """The plan with the first rung's trials in the place of the whole ones, which stand in its halvings.

    Raises:
        JobError: no validation rows, or nothing that could be halved.
    """
    job = plan.job
    if job.halving is None:
        return plan
    known = {**plan.fitted_on, **plan.datasets}
    for dataset in {one.chosen_on: None for one in plan.datasets.values()}:
        if "validation" not in known[dataset].loaded.splits:
            raise JobError(
                f"{job.where(None, ('halving',))}: dataset {dataset} has no validation rows to compare configurations "
                "on; splits: {validation: cut} cuts a fifth of train"
            )
    halvings: list[PlannedHalving] = []
    fits = dict(plan.fits)
    steps: dict[str, tuple[tuple[str, float], ...]] = {}  # whole fit → its epochs after the last rung
    gone: set[tuple[str, str]] = set()
    first: dict[tuple[str, str], tuple[PlannedTrial, ...]] = {}
    for (candidate, dataset), configurations in _groups(plan.trials).items():
        halving = _halving(plan, candidate, dataset, list(configurations.values()), fits)
        if halving is None:
            continue
        halvings.append(halving)
        whole = [one for group in configurations.values() for one in group]
        gone |= {(candidate, one.trial.trial_id) for one in whole}
        first[candidate, whole[0].trial.trial_id] = tuple(one for group in halving.stages[0].trials for one in group)
        last = [one for group in halving.stages[-1].trials for one in group]
        steps |= {one.work.checkpoint: one.work.fit_steps for one in last}
    if not halvings:
        raise JobError(
            f"{job.where(None, ('halving',))}: no candidate has several configurations whose fits reach a rung; "
            "give one a grid and epochs, or leave halving out"
        )
    trials: list[PlannedTrial] = []
    for one in plan.trials:
        place = (one.trial.candidate, one.trial.trial_id)
        trials += first.get(place, ())
        trials += [] if place in gone else [one]
    offered = tuple(
        replace(one, work=replace(one.work, fit_steps=steps.get(one.work.checkpoint, one.work.fit_steps)))
        for one in plan.offered
    )
    return replace(plan, trials=tuple(trials), offered=offered, fits=fits, halvings=tuple(halvings))


def expected(plan: Plan) -> tuple[PlannedTrial, ...]:
    """Of stages to come, none of which is among the plan's trials yet, as many trials as there will be.

    They are the first ones: who will go on is not known.
    """
    known = {one.trial.trial_id for one in plan.trials}
    found: list[PlannedTrial] = []
    for halving in plan.halvings:
        for size, stage in zip(halving.sizes[1:], halving.stages[1:], strict=True):
            groups = stage.trials
            if known.isdisjoint(one.trial.trial_id for group in groups for one in group):
                found += [one for group in groups[:size] for one in group]
    return tuple(found)


def halving_notes(plan: Plan) -> Iterator[str]:
    """What a reader of the table must know: who is halved how, and which grid is tried whole."""
    for one in plan.halvings:
        whole = one.sizes[0] * one.stages[-1].epochs
        steps = [f"{one.sizes[0]} configurations for {_epochs(one.stages[0].epochs)}"]
        steps += [
            f"the best {size} for {stage.epochs}" if size > 1 else f"the best for {stage.epochs}"
            for size, stage in zip(one.sizes[1:], one.stages[1:], strict=True)
        ]
        yield (
            f"{one.candidate} on {one.dataset}: halving by {one.rank_by}: {', '.join(steps)}; "
            f"{one.num_epochs} epochs of {whole}"
        )
    halved = {(one.candidate, one.dataset) for one in plan.halvings}
    for (candidate, dataset), configurations in _groups(plan.trials).items() if halved else ():
        if len(configurations) > 1 and (candidate, dataset) not in halved:
            every = f"all {len(configurations)} configurations are fitted whole"
            yield f"{candidate} on {dataset}: its fits reach no rung of halving; {every}"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _groups(trials: Sequence[PlannedTrial]) -> dict[tuple[str, str], dict[str, list[PlannedTrial]]]:
    """By candidate and validation rows, the seeds of each configuration that can start."""
    groups: dict[tuple[str, str], dict[str, list[PlannedTrial]]] = defaultdict(lambda: defaultdict(list))
    for one in trials:
        if one.problem is None and one.trial.dataset.scored == "validation":
            trial = one.trial
            configuration = canonical_json([trial.model.reference, trial.method, dict(trial.hyperparameters)])
            groups[trial.candidate, trial.dataset.name][configuration].append(one)
    return groups


def _halving(
    plan: Plan,
    candidate: str,
    dataset: str,
    configurations: Sequence[Sequence[PlannedTrial]],
    fits: dict[str, PlannedTrial],
) -> PlannedHalving | None:
    """None where there is nothing to halve; fits of rungs are added to `fits`."""
    assert plan.job.halving is not None
    trial, spec, on = configurations[0][0].trial, plan.job.halving, plan.datasets[dataset]
    num_epochs = recipe_of(trial.model, trial.method).epochs(trial.hyperparameters)
    rungs = rungs_of(len(configurations), num_epochs, eta=spec.eta, rungs=spec.rungs)
    if not rungs:
        return None
    ends = [rung.epochs for rung in rungs]
    stages = []
    for behind, rung, then in zip([0, *ends], [*rungs, Rung(0, 0)], [*ends[1:], 0, 0], strict=True):
        trials = tuple(tuple(_at(one, fits, behind, rung.epochs, then) for one in group) for group in configurations)
        stages.append(Stage(epochs=rung.epochs or num_epochs, keep=rung.keep, trials=trials))
    ids = [[one.trial.trial_id for one in group] for group in configurations]
    return PlannedHalving(
        key=content_hash([ids, list(map(list, rungs)), on.rank_by, on.measures]),
        candidate=candidate,
        dataset=dataset,
        rank_by=on.rank_by,
        stages=tuple(stages),
    )


def _at(whole: PlannedTrial, fits: dict[str, PlannedTrial], behind: int, until: int, then: int) -> PlannedTrial:
    """A trial as it is after `until` epochs (0: all), of which `behind` were done before; it goes on until `then`."""
    steps = whole.work.fit_steps[behind : until or None]
    saved = sum(cost for _, cost in whole.work.fit_steps) - sum(cost for _, cost in steps)
    work = replace(whole.work, fit_steps=steps, cost=whole.work.cost - saved)
    fit = fits[whole.work.checkpoint]
    if not until:
        return replace(whole, work=work)
    fit_id = _id(fit.trial.trial_id, until)
    fits[fit_id] = replace(
        fit,
        trial=replace(fit.trial, trial_id=fit_id, until=until),
        work=replace(fit.work, trial_id=fit_id),
        goes_on_as=_id(fit.trial.trial_id, then),
    )
    trial_id = _id(whole.trial.trial_id, until)
    bundle = content_hash([whole.work.bundle, until])
    return replace(
        whole,
        trial=replace(whole.trial, trial_id=trial_id, until=until),
        work=replace(work, trial_id=trial_id, fit_id=fit_id, bundle=bundle),
    )


def _id(trial_id: str, until: int) -> str:
    return content_hash([trial_id, {"until": until}]) if until else trial_id

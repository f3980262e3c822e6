"""A plan's missing trials on Ray: connect, share the rows, start the actors, drive the queue to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from raybench.cluster.agreement import announced
from raybench.cluster.connection import Connection
from raybench.cluster.deadline import Deadline
from raybench.cluster.hosts import check_hosts
from raybench.cluster.observer import Observer
from raybench.cluster.start import start_actor
from raybench.data.batches import batch_tokens
from raybench.metrics.coverage import Coverage
from raybench.planning.plan import Plan
from raybench.planning.resume import Found
from raybench.results.ledger import Ledger
from raybench.results.measure import Measured, Measuring
from raybench.results.racing import Races
from raybench.schedule.queue import Queue
from raybench.schedule.work import TrialWork
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.trials import TrialRow

__all__ = ["Outcome", "run_trials"]


class Outcome(NamedTuple):
    """The rows of the trials that ended in this run, the tracebacks of those that failed, what actors measured."""

    rows: Mapping[str, TrialRow]
    tracebacks: Mapping[str, str]
    measured: Mapping[str, Measured]


def run_trials(
    plan: Plan,
    todo: Sequence[TrialWork],
    found: Found,
    store: Store,
    *,
    connection: Connection,
    observer: Observer,
    skipped: Skipped,
    check: Callable[[], None],
    deadline: Deadline | None = None,
) -> Outcome:
    """Fit and score what is left to do; `check` raises when another run has taken the trials over."""
    cluster, idle = connection.connected()
    with announced(store.run(plan.run_id)) as agreement:
        import ray

        check_hosts(agreement, store.files, cluster.cpus_per_actor)

        if cluster.note:
            observer.note(cluster.note)

        from raybench.cluster.context import RunContext
        from raybench.cluster.driver import Driver
        from raybench.cluster.gauges import Gauges
        from raybench.cluster.pool import Pool

        wanted = {work.trial_id for work in todo}
        planned = {one.trial.trial_id: one for one in plan.trials if one.trial.trial_id in wanted}
        fits = {work.fit_id: plan.fits[work.fit_id] for work in todo if work.fit_id}
        datasets = {one.trial.dataset.name for one in planned.values()}
        loaded = {name: one.loaded for name, one in {**plan.fitted_on, **plan.datasets}.items()}
        read = datasets | {one.trial.dataset.name for one in fits.values()}
        resources = plan.job.resources
        rows = {name: ray.put(dict(loaded[name].splits)) for name in read}
        plan.sources.let_go()
        context = RunContext(
            store_url=store.files.absolute_url,
            planned={**fits, **planned},
            data={key: needs for key, needs in plan.data.items() if needs.dataset.name in read},
            features=plan.features(wanted),
            rows=rows,
            measuring={name: Measuring.of(plan.datasets[name]) for name in datasets},
            threads=resources.cpus_per_actor,
            gpus_per_actor=cluster.gpus_per_actor,
            batch_tokens=batch_tokens(resources.batch_tokens, "cuda" if cluster.gpus_per_actor else "cpu"),
            checkpoint_seconds=resources.checkpoint_seconds,
            agreement=agreement,
            extra_path=(str(plan.job.directory),),
        )
        shared = ray.put(context)
        pool = Pool(
            lambda avoided: (
                _begun(idle, shared) or start_actor(cluster, shared, avoided=avoided, imports=connection.imports)
            ),
            hang_seconds=resources.hang_seconds,
            placement_seconds=resources.placement_timeout_minutes * 60,
            trial_seconds=resources.trial_timeout_minutes * 60 if resources.trial_timeout_minutes else None,
        )
        ledger = Ledger(
            planned,
            expected={name: Coverage.of(plan.datasets[name].loaded.splits["test"].column("id")) for name in datasets},
            usable=lambda one, digest: found.usable(one, digest, plan.datasets[one.trial.dataset.name].measures),
            kept=frozenset(one.work.checkpoint for one in plan.offered),
            metas=found.metas,
            store=store,
            skipped=skipped,
            check=check,
        )
        queue = Queue(todo, num_actors=cluster.num_actors, shard_batches=resources.shard_batches)
        races = Races(plan.races, plan.datasets, found.rows, wanted, store.files, skipped)
        gauges = Gauges(observer, plan.run_id, len(todo))
        driver = Driver(queue=queue, pool=pool, ledger=ledger, observer=gauges, races=races, deadline=deadline)
        driver.run()
        idle += driver.idle
        return Outcome(ledger.rows, ledger.tracebacks, driver.measured)


def _begun(idle: list[Any], context: Any) -> Any:
    """An actor that was there before its run, told of it now; None where there is none left."""
    if not idle:
        return None
    handle = idle.pop()
    handle.begin.remote(context)
    return handle

"""A plan's missing trials on Ray: connect, share the rows, start the actors, drive the queue to its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from raybench.cluster.agreement import announced
from raybench.cluster.connect import connect
from raybench.cluster.hosts import check_hosts
from raybench.cluster.observer import Observer
from raybench.cluster.placement import ActorPlan
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
    address: str | None,
    observer: Observer,
    skipped: Skipped,
    check: Callable[[], None],
) -> Outcome:
    """Fit and score what is left to do; `check` raises when another run has taken the trials over."""
    with connect(plan.job.resources, address) as cluster, announced(store.run(plan.run_id)) as agreement:
        import ray

        check_hosts(agreement, store.files, cluster.cpus_per_actor)

        if cluster.note:
            observer.note(cluster.note)

        from raybench.cluster.context import RunContext
        from raybench.cluster.driver import Driver
        from raybench.cluster.pool import Pool
        from raybench.cluster.worker import Worker

        wanted = {work.trial_id for work in todo}
        planned = {one.trial.trial_id: one for one in plan.trials if one.trial.trial_id in wanted}
        datasets = {one.trial.dataset.name for one in planned.values()}
        resources = plan.job.resources
        context = RunContext(
            store_url=store.files.absolute_url,
            planned=planned,
            data={key: needs for key, needs in plan.data.items() if needs.dataset.name in datasets},
            features=plan.features(wanted),
            rows={name: ray.put(dict(plan.datasets[name].loaded.splits)) for name in datasets},
            measuring={name: Measuring.of(plan.datasets[name]) for name in datasets},
            threads=resources.cpus_per_actor,
            gpus_per_actor=cluster.gpus_per_actor,
            checkpoint_seconds=resources.checkpoint_seconds,
            agreement=agreement,
            extra_path=(str(plan.job.directory),),
        )
        shared = ray.put(context)
        pool = Pool(
            lambda avoided: _start(Worker, cluster, shared, avoided),
            hang_seconds=resources.hang_seconds,
            placement_seconds=resources.placement_timeout_minutes * 60,
            trial_seconds=resources.trial_timeout_minutes * 60 if resources.trial_timeout_minutes else None,
        )
        ledger = Ledger(
            planned,
            expected={name: Coverage.of(plan.datasets[name].loaded.splits["test"].column("id")) for name in datasets},
            usable=lambda one, digest: found.usable(one, digest, plan.datasets[one.trial.dataset.name].measures),
            store=store,
            skipped=skipped,
            check=check,
        )
        queue = Queue(todo, num_actors=cluster.num_actors, shard_batches=resources.shard_batches)
        races = Races(plan.races, plan.datasets, found.rows, wanted, store.files, skipped)
        driver = Driver(queue=queue, pool=pool, ledger=ledger, observer=observer, races=races)
        driver.run()
        return Outcome(ledger.rows, ledger.tracebacks, driver.measured)


def _start(worker: Any, cluster: ActorPlan, context: Any, avoided: Collection[str]) -> Any:
    """An actor on any node, but on those to avoid only where no other will do."""
    from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

    strategy: Any = "DEFAULT"
    if avoided:
        strategy = NodeLabelSchedulingStrategy(hard={}, soft={"ray.io/node-id": NotIn(*sorted(avoided))})
    return worker.options(
        num_cpus=cluster.cpus_per_actor,
        num_gpus=cluster.gpus_per_actor,
        enable_task_events=False,
        scheduling_strategy=strategy,
    ).remote(context)

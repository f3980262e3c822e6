"""A plan's missing trials on Ray: connect, share the rows, start the actors, drive the queue to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from raybench.cluster.agreement import announced
from raybench.cluster.connect import connect
from raybench.cluster.hosts import check_hosts
from raybench.cluster.observer import Observer
from raybench.cluster.placement import ActorPlan
from raybench.core import Status
from raybench.metrics.coverage import Coverage
from raybench.planning.plan import Plan
from raybench.planning.resume import Found
from raybench.schedule.queue import Queue
from raybench.schedule.work import TrialWork
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.trials import TrialRow

__all__ = ["Outcome", "run_trials"]


class Outcome(NamedTuple):
    """The rows of the trials that ended in this run, and the tracebacks of those that failed."""

    rows: Mapping[str, TrialRow]
    tracebacks: Mapping[str, str]


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

        planned = {one.trial.trial_id: one for one in plan.trials}
        wanted = {work.trial_id for work in todo}
        datasets = {planned[trial_id].trial.dataset.name for trial_id in wanted}
        resources = plan.job.resources
        context = RunContext(
            store_url=store.files.absolute_url,
            trials={trial_id: planned[trial_id].trial for trial_id in wanted},
            data={key: needs for key, needs in plan.data.items() if needs.dataset.name in datasets},
            data_keys={trial_id: planned[trial_id].data_key for trial_id in wanted},
            features=plan.features(wanted),
            groups={work.trial_id: work.groups for work in todo},
            rows={name: ray.put(dict(plan.datasets[name].loaded.splits)) for name in datasets},
            metrics={name: (plan.datasets[name].metrics, plan.datasets[name].metric_config) for name in datasets},
            measures={name: plan.datasets[name].measures for name in datasets},
            threads=resources.cpus_per_actor,
            gpus_per_actor=cluster.gpus_per_actor,
            checkpoint_seconds=resources.checkpoint_seconds,
            agreement=agreement,
            stamps={trial_id: planned[trial_id].stamp for trial_id in wanted},
            extra_path=(str(plan.job.directory),),
        )
        shared = ray.put(context)
        pool = Pool(
            lambda avoided: _start(Worker, cluster, shared, avoided),
            hang_seconds=resources.hang_seconds,
            placement_seconds=resources.placement_timeout_minutes * 60,
            trial_seconds=resources.trial_timeout_minutes * 60 if resources.trial_timeout_minutes else None,
        )
        expected = {name: Coverage.of(plan.datasets[name].loaded.splits["test"].column("id")) for name in datasets}
        driver = Driver(
            queue=Queue(todo, num_actors=cluster.num_actors, shard_batches=resources.shard_batches),
            pool=pool,
            store=store,
            blank_rows={trial_id: blank_row(planned[trial_id].trial) for trial_id in wanted},
            expected={trial_id: expected[planned[trial_id].trial.dataset.name] for trial_id in wanted},
            data_keys=context.data_keys,
            train_features={work.trial_id: work.train_features for work in todo if work.train_features},
            test_features={work.trial_id: work.test_features for work in todo if work.test_features},
            usable=lambda trial_id, digest: found.usable(
                planned[trial_id], digest, plan.datasets[planned[trial_id].trial.dataset.name].measures
            ),
            observer=observer,
            skipped=skipped,
            check=check,
        )
        driver.run()
        return Outcome(driver.rows, driver.tracebacks)


def blank_row(trial: Any) -> TrialRow:
    """A trial's row before it has ended: what it was, for whoever reads the store without its job."""
    identity = {
        "candidate": trial.candidate,
        "model": trial.model.reference,
        "revision": trial.model.revision,
        "method": trial.method,
        "hyperparameters": dict(trial.hyperparameters),
        "dataset": trial.dataset.name,
        "task": trial.dataset.task,
        "task_config": dict(trial.dataset.task_config),
        "labels": list(trial.dataset.labels),
        "statistics": dict(trial.dataset.statistics),
        "max_length": trial.dataset.max_length,
        "seed": trial.seed,
        "weights_fingerprint": trial.weights_fingerprint,
        "data_fingerprint": trial.dataset.fingerprint,
        "code": dict(trial.code),
    }
    return TrialRow(trial_id=trial.trial_id, status=Status.STOPPED, identity=json.loads(json.dumps(identity)))


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

"""The store, the only truth: one directory or bucket of append-only Parquet; what is in it is done.

    store = Store.open("./raybench-store")
    store.shards.read("3f…")          # what has been scored of a trial
    store.trials.read()               # how every trial ended

    STORE/shards/trial=<id>/part-*.parquet     states and coverage of scored shards, until the trial ends
    STORE/records/trial=<id>/part-*.parquet    one row an example
    STORE/checkpoints/trial=<id>.safetensors   what a fit trained, until the trial ends
    STORE/unfinished/trial=<id>.<state>.safetensors    where a long fit is, until it ends
    STORE/leases/<number>-<owner>.*            who is doing which trials now
    STORE/trials/part-*.parquet                one row a trial: identity, status, cost, merged states
    STORE/runs/<run id>/                       job.yaml, environment.json, progress.json, scores and ranking

It does not decide anything: what to do with what it holds is `raybench.planning.plan` and `raybench.schedule`.
"""

from raybench.store.store import Store

__all__ = ["Store"]

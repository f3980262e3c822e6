"""Fit a trial and score shards of its test rows: one process, one device, no cluster.

    checkpoint = fit_trial(trial, train, device)                    # prepared rows, see Task.prepare
    predictor = open_predictor(trial, checkpoint, device)
    result = score_shard(predictor, test, plan.batches(0, 4), metric_set)

`test` is in the order of the batch plan; a shard is a run of its batches.
"""

from raybench.runtime.fit import features_part, fit_bundle, fit_in_turn, fit_trial, needs_fit, open_predictor
from raybench.runtime.scoring.latency import Latency, measure_latency
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.scoring.shard import ShardResult, score_shard
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.unfinished import Saving

__all__ = [
    "Checkpoint",
    "Latency",
    "Predictor",
    "Saving",
    "ShardResult",
    "features_part",
    "fit_bundle",
    "fit_in_turn",
    "fit_trial",
    "measure_latency",
    "needs_fit",
    "open_predictor",
    "score_shard",
]

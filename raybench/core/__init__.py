"""The words of raybench, its errors, identity by content, catalogs of names; imports nothing of ours, nothing heavy."""

from raybench.core.words import Column, DatasetKey, ModelSpec, Score, Shard, Status, Trial, slice_column

__all__ = ["Column", "DatasetKey", "ModelSpec", "Score", "Shard", "Status", "Trial", "slice_column"]

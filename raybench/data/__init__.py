"""Rows as tasks read them: sources, canonical columns, labels, ids and fingerprints by content."""

from raybench.data.load import LoadedDataset, load_dataset

__all__ = ["LoadedDataset", "load_dataset"]

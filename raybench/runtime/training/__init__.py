"""Fitting on one device: order of batches, loop, precision, memory, features computed once, heads fitted together."""

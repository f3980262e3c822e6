"""Scoring on one device: a fitted network or baseline over whole planned batches, into records and states."""

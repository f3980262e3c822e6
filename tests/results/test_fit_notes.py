"""What a table says of fits that another device may do otherwise."""

from __future__ import annotations

from raybench.results.fit_notes import fit_notes

USUAL = {"micro_batch_tokens": 2048, "micro_batch_tokens_wanted": 2048, "deterministic": True}


def test_fits_as_wanted_are_not_worth_a_word() -> None:
    assert fit_notes([USUAL, {"fit_seconds": 1.0}, {}]) == []


def test_smaller_micro_batches_are_counted_by_size() -> None:
    small = [USUAL | {"micro_batch_tokens": tokens} for tokens in (512, 1024, 512)]
    least, more = fit_notes([USUAL, *small])
    assert "512 tokens instead of 2048" in least
    assert "2 of 4" in least
    assert "1024 tokens instead of 2048" in more
    assert "1 of 4" in more


def test_fits_that_vary_are_counted() -> None:
    [note] = fit_notes([USUAL, USUAL | {"deterministic": False}])
    assert "no deterministic algorithm: 1 of 2" in note

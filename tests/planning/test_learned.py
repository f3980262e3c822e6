"""What the store has seen corrects predictions: of its own model much, of its kind of work some."""

from __future__ import annotations

import pytest

from raybench.planning.learned import Learned, Sample


def sample(model, ratio, kind="full", part="fit"):
    return Sample(part, kind, model, seconds=10.0 * ratio, predicted=10.0)


def test_what_was_never_seen_is_left_as_it_is():
    assert Learned([], never_seen=0.4).factor("fit", "full", "a") == (1.0, 0.4)
    other = Learned([sample("a", 2.0, kind="lora"), sample("a", 2.0, part="score")], never_seen=0.4)
    assert other.factor("fit", "full", "a") == (1.0, 0.4)


def test_many_trials_of_a_model_tell_its_factor():
    factor = Learned([sample("a", 2.0)] * 50, never_seen=0.4).factor("fit", "full", "a")
    assert factor.value == pytest.approx(2.0, rel=0.02)
    assert factor.error < 0.4


def test_another_model_is_drawn_towards_its_kind_and_is_less_sure():
    learned = Learned([sample("a", 2.0), sample("b", 2.0)], never_seen=0.4)
    own, other = (learned.factor("fit", "full", name) for name in ("a", "c"))
    assert 1.0 < other.value < own.value < 2.0
    assert own.error < other.error < 0.4


def test_a_model_with_many_trials_does_not_speak_for_its_kind_alone():
    learned = Learned([*[sample("a", 4.0)] * 100, sample("b", 1.0)], never_seen=0.4)
    assert learned.factor("fit", "full", "c").value < 2.0


def test_what_took_no_time_teaches_nothing():
    assert Learned([sample("a", 0.0)], never_seen=0.4).factor("fit", "full", "a").value == 1.0

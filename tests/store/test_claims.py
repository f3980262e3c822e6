"""No two living runs ever take the same trial, in whatever order their steps fall; and every trial is taken."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.store.claims import DEAD_SECONDS, Claim, Ticket, divide, is_dead, is_late, next_number

TRIALS = "abc"
tickets = st.builds(Ticket, st.integers(1, 5), st.sampled_from(["p", "q", "r", "s"]))
claims = st.lists(
    st.builds(Claim, tickets, st.frozensets(st.sampled_from(TRIALS)), st.booleans()), unique_by=lambda one: one.ticket
)


@given(tickets, st.frozensets(st.sampled_from(TRIALS)), claims)
def test_a_division_is_whole_and_takes_nothing_an_older_living_run_wants(mine, wanted, others):
    division = divide(mine, wanted, others)
    parts = [division.take, *division.wait.values()]
    assert frozenset().union(*parts) == wanted
    assert sum(map(len, parts)) == len(wanted), "each trial is with one run"
    for ticket, trial_ids, dead in others:
        if ticket < mine and not dead:
            assert not division.take & trial_ids
        else:
            assert ticket not in division.wait


@given(st.floats(0, 1e6), st.sampled_from([None, True, False]))
def test_a_process_that_is_gone_is_dead_at_once_and_any_other_by_its_silence(silent, runs):
    assert is_dead(silent, runs) == (runs is False or silent > DEAD_SECONDS)


class Run:
    """A run's steps, one store operation each, as `Lease` takes them."""

    def __init__(self, name, wanted):
        self.name, self.wanted = name, wanted
        self.holds, self.alive, self.ticket = frozenset(), True, None

    def steps(self, store):
        while True:
            listing = set(store)
            yield
            self.ticket = Ticket(next_number(listing), self.name)
            store[self.ticket] = self
            yield
            listing = set(store)
            if not is_late(self.ticket, listing):
                break
            yield
            del store[self.ticket]
            yield
        left = set(self.wanted)
        while left:
            others = [Claim(ticket, run.wanted, not run.alive) for ticket, run in store.items() if run is not self]
            self.holds = divide(self.ticket, left, others).take
            for ticket in [ticket for ticket, run in store.items() if not run.alive]:
                del store[ticket]
            yield
            left -= self.holds  # done
            self.holds = frozenset()
            yield
        store.pop(self.ticket, None)


@settings(max_examples=300)
@given(
    st.lists(st.frozensets(st.sampled_from(TRIALS), min_size=1), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["step"] * 12 + ["kill"])), max_size=120),
)
def test_in_any_order_of_steps_and_deaths_one_run_holds_a_trial(wants, schedule):
    store, runs = {}, [Run(f"{number}", wanted) for number, wanted in enumerate(wants)]
    steps = {run.name: run.steps(store) for run in runs}

    def advance(run):
        if run.alive and next(steps[run.name], "over") == "over":
            run.alive, run.holds = False, frozenset()
        held = [trial for other in runs if other.alive for trial in other.holds]
        assert len(held) == len(set(held)), "two living runs hold one trial"

    for number, what in schedule:
        run = runs[number % len(runs)]
        if what == "kill":
            run.alive, run.holds = False, frozenset()
        else:
            advance(run)
    for _ in range(200):  # in turns, everybody who lives gets done
        for run in runs:
            advance(run)
    assert not any(run.alive for run in runs)

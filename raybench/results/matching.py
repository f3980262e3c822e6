"""The trials of two runs brought together by candidate, configuration, dataset and seed.

    matched = match(before, after)
    matched.pairs[0].before, matched.pairs[0].after, matched.only_before

Where a model lies and what is in its files is no part of a match: that is what a night changes. Nor is its
configuration where a candidate has one alone. Equal trials in one store are the same records, and so the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from raybench.core.identity import canonical_json
from raybench.results.stored import BadEnd, StoredRun, StoredTrial

__all__ = ["Cell", "Matched", "Pair", "match"]


class Cell(NamedTuple):
    """What is compared: a candidate's configuration on a dataset; its seeds are taken together."""

    candidate: str
    method: str
    hyperparameters: str  # JSON
    dataset: str


class Pair(NamedTuple):
    """A trial of each run with the same seed."""

    cell: Cell
    seed: int
    before: StoredTrial
    after: StoredTrial

    @property
    def is_one_trial(self) -> bool:
        """Whether weights, data and all else that can change the result are the same."""
        return self.before.trial.trial_id == self.after.trial.trial_id


class Matched(NamedTuple):
    """`lost` are cells with a score before and, after, a bad end in its place."""

    pairs: tuple[Pair, ...]
    lost: tuple[tuple[Cell, BadEnd], ...]
    only_before: tuple[Cell, ...]
    only_after: tuple[Cell, ...]


def match(before: StoredRun, after: StoredRun) -> Matched:
    """In the order of the run after; what was only tried, on validation rows, is left out."""
    old, new = ({(_cell(one), one.trial.seed): one for one in _scored(run)} for run in (before, after))
    ended = {_bad_cell(end): end for end in after.bad_ends}
    renamed = _renamed({cell for cell, _ in old}, {*ended, *(cell for cell, _ in new)})
    old = {(renamed.get(cell, cell), seed): one for (cell, seed), one in old.items()}
    pairs = tuple(Pair(cell, seed, old[cell, seed], one) for (cell, seed), one in new.items() if (cell, seed) in old)
    old_cells, new_cells = (dict.fromkeys(cell for cell, _ in found) for found in (old, new))
    compared = {pair.cell for pair in pairs}
    return Matched(
        pairs=pairs,
        lost=tuple((cell, ended[cell]) for cell in old_cells if cell in ended),
        only_before=_others(old_cells, compared | ended.keys()),
        only_after=_others(new_cells, compared | ended.keys()),
    )


def _scored(run: StoredRun) -> list[StoredTrial]:
    return [one for one in run.trials if one.trial.dataset.scored == "test"]


def _renamed(old: Collection[Cell], new: Collection[Cell]) -> dict[Cell, Cell]:
    """Where a candidate has one configuration on a dataset in each run, that before by the name of that after.

    Validation rows may have chosen another tonight, or the job says another: the candidate is compared all the same.
    """
    counts = [Counter((cell.candidate, cell.dataset) for cell in cells) for cells in (old, new)]
    alone = {(cell.candidate, cell.dataset): cell for cell in new}
    keys = {cell: (cell.candidate, cell.dataset) for cell in old}
    return {cell: alone[key] for cell, key in keys.items() if all(count[key] == 1 for count in counts)}


def _others(cells: Sequence[Cell] | dict[Cell, None], known: set[Cell]) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell not in known)


def _cell(one: StoredTrial) -> Cell:
    trial = one.trial
    return Cell(trial.candidate, trial.method, canonical_json(dict(trial.hyperparameters)), trial.dataset.name)


def _bad_cell(end: BadEnd) -> Cell:
    configuration = end.configuration
    return Cell(configuration.candidate, configuration.method, configuration.hyperparameters, end.dataset)

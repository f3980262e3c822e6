"""Where an answer stands in its context, and which span of a network's scores is the best one.

Shapes: R model rows (windows), T positions, D lengths of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["NO_ANSWER", "Span", "best_spans", "find_answer", "given_answers"]


class Span(NamedTuple):
    """Characters [start, stop) of the context; start -1: none.

    `null_odds` is by how much the score of no answer is above the span's, as SQuAD 2's evaluation calls it.
    """

    start: int
    stop: int
    null_odds: float = 0.0


NO_ANSWER = Span(-1, -1)


def given_answers(answers: dict[str, list[Any]]) -> list[tuple[str, int]]:
    """The texts and starts of an example's cell that are not blank; none: the question has no answer."""
    return [(text, start) for text, start in zip(answers["texts"], answers["starts"], strict=True) if text.strip()]


def find_answer(context: str, answers: Sequence[tuple[str, int]]) -> Span | None:
    """The first answer that stands where its start says, else the first whose text stands anywhere, where it is
    nearest; None where no text is in the context.

    Starts are characters of the raw context, -1 where the data do not say.
    """
    for text, start in answers:
        if start >= 0 and context.startswith(text, start):
            return Span(start, start + len(text))
    for text, start in answers:
        after = context.find(text, max(start, 0))
        before = context.rfind(text, 0, max(start, 0) + len(text))
        places = [place for place in (before, after) if place >= 0]
        if places:
            nearest = min(places, key=lambda place: (abs(place - start), place))
            return Span(nearest, nearest + len(text))
    return None


def best_spans(
    start_RT: torch.Tensor, stop_RT: torch.Tensor, context_RT: torch.Tensor, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each window the first and last piece of the span with the greatest sum of scores, and the sum, float64 [R].

    Spans are of 1 to `most` pieces, all of the context; of equal ones the earliest start, then the shortest. A window
    without a piece of the context, or whose scores are NaN, has the sum -inf.
    """
    import torch

    num_pieces = start_RT.shape[1]
    most = min(most, num_pieces)
    lowest = torch.finfo(torch.float32).min
    inside_RT = context_RT & ~start_RT.isnan() & ~stop_RT.isnan()
    last_RT = stop_RT.masked_fill(~inside_RT, -torch.inf)
    ahead = torch.nn.functional.pad(last_RT, (0, most - 1), value=-torch.inf).unfold(1, most, 1)
    sums_RTD = start_RT.masked_fill(~inside_RT, -torch.inf)[:, :, None] + ahead
    best_R, place_R = sums_RTD.clamp_min(lowest).flatten(1).max(dim=1)
    first, length = np.divmod(place_R.cpu().numpy(), most)
    scores = best_R.double().cpu().numpy()
    return first, first + length, np.where(scores > lowest, scores, -np.inf)

"""Why a trial answered as it did: it is fitted again, and asked once more without each word, or each patch, of a row.

    explainer = open_explainer(*plan_again(found, job), threads=1, on_gpu=False)
    why = explainer.attribution(row)                    # a table of one raw row
    why.score, [(part.cut, part.changes) for part in why.parts]

The score is, of one label or several, the log-odds of the class that was told (of several the likeliest), else the
number itself. A change is the score with a piece minus that without it: positive speaks for what was told. Of what is
said twice each alone changes little, so changes add up to nothing that they should.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from raybench.core.errors import IncompatibleError, RaybenchError
from raybench.planning.plan import Plan, PlannedTrial
from raybench.replay.occlusion import MOST, PictureCut, TextCut, cut_picture, cut_text, occluded
from raybench.results.example_losses import answers_of
from raybench.runtime.prepare import prepare_data
from raybench.runtime.training.device import device_of
from raybench.runtime.trial import Predictor, fit_trial, needs_fit, open_predictor
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import task_of
from raybench.tasks.image import ImageTask
from raybench.tasks.multi_label import MultiLabel
from raybench.tasks.regression import Regression
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.task import Task
from raybench.tasks.text import TextTask

__all__ = ["Attribution", "Explainer", "PartChanges", "open_explainer", "refuse_unexplained"]

_AT_ONCE = 64 << 20  # bytes of raw rows
_SUREST = 50.0  # log-odds beyond are of a probability of e⁻⁵⁰; a label that was never seen has 10,000


class PartChanges(NamedTuple):
    """A cell in pieces and what each changes; `unread`: words behind them that the candidate never sees."""

    cut: TextCut | PictureCut
    changes: tuple[float, ...]
    unread: int


class Attribution(NamedTuple):
    """`answer` as records tell it, `of` the class whose log-odds `score` is ("": the number itself)."""

    answer: str
    of: str
    score: float
    parts: tuple[PartChanges, ...]


def refuse_unexplained(task: Task) -> None:
    """IncompatibleError for a task whose answer is not one class, several or a number of texts or a picture."""
    kinds = {column.kind for column in task.columns if column.role == "input"}
    is_one_answer = isinstance(task, SingleLabel | MultiLabel | Regression)
    if not (is_one_answer and isinstance(task, TextTask | ImageTask) and kinds <= {"text", "image"}):
        raise IncompatibleError(f"{task.name}: what is explained are labels of a text or a picture, or its one number")


def open_explainer(planned: PlannedTrial, plan: Plan, *, threads: int, on_gpu: bool) -> Explainer:
    """Fit the trial as it was fitted, and open what comes out.

    Raises:
        RaybenchError: what a user can mend; what the fit itself raises.
    """
    if on_gpu and not torch.cuda.is_available():
        raise RaybenchError("it was made on a GPU, and here is none: it would not be the same network")
    trial, needs = planned.trial, plan.data[planned.work.data_key]
    task, splits = task_of(needs.dataset), plan.datasets[trial.dataset.name].loaded.splits
    refuse_unexplained(task)
    workspace = Workspace(device_of(1.0 if on_gpu else 0.0, cuda_available=torch.cuda.is_available()))
    checkpoint, before = None, torch.get_num_threads()
    if needs_fit(trial):
        train, validation = (
            task.prepare(splits[name], needs.model, needs.dataset.max_length) if name in splits else None
            for name in ("train", "validation")
        )
        assert train is not None
        torch.set_num_threads(threads)
        try:
            checkpoint = fit_trial(trial, train, workspace, validation=validation)
        finally:
            torch.set_num_threads(before)
    return Explainer(open_predictor(trial, checkpoint, workspace))


class Explainer:
    """A candidate ready to be asked."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._task, self._trial = predictor.task, predictor.trial

    def attribution(self, row: pa.Table) -> Attribution:
        """Of a table of one raw row, `id`, inputs and targets as a run has them."""
        whole, answer = self._ask(row)
        if not np.isfinite(whole).all():
            raise IncompatibleError(f"{self._trial.candidate} answers with what is no number")
        place = int(whole[0].argmax())
        parts = []
        for column in self._task.columns:
            if column.role == "input" and column.name in row.column_names:
                parts.append(self._part(row, column.name, place, is_picture=column.kind == "image"))
        of = "" if isinstance(self._task, Regression) else self._trial.dataset.labels[place]
        return Attribution(answer, of, float(self._scores(whole, place)[0]), tuple(parts))

    def _part(self, row: pa.Table, column: str, place: int, *, is_picture: bool) -> PartChanges:
        cut: TextCut | PictureCut
        unread = 0
        if is_picture:
            cut = cut_picture(column, row)
        else:
            words = cut_text(column, row.column(column)[0].as_py())
            cut = words.first(self._num_read(row, words))
            unread = len(words) - len(cut)
            cut = cut.in_at_most(MOST)
        step = max(1, _AT_ONCE // max(1, occluded(row, cut, [None]).nbytes))
        places: list[int | None] = [None, *range(len(cut))]
        scores = np.concatenate(
            [
                self._scores(self._ask(occluded(row, cut, places[start : start + step]))[0], place)
                for start in range(0, len(places), step)
            ]
        )
        return PartChanges(cut, tuple((scores[0] - scores[1:]).tolist()), unread)

    def _num_read(self, row: pa.Table, words: TextCut) -> int:
        """The least number of words whose inputs are those of the whole text.

        Without it a word left out would let one in at the end of a text that is cut, and be charged for it.
        """
        low, high, whole = 0, len(words), self._key(row)
        while low < high:
            middle = (low + high) // 2
            if self._key(occluded(row, words.first(middle), [None])) == whole:
                high = middle
            else:
                low = middle + 1
        return low

    def _key(self, row: pa.Table) -> object:
        dataset = self._trial.dataset
        return self._task.prepare(row, self._trial.model, dataset.max_length).column("key")[0].as_py()

    @torch.inference_mode()
    def _ask(self, rows: pa.Table) -> tuple[np.ndarray, str]:
        """Outputs float64 [N, K] in the order of the rows, and the first row's answer."""
        predictor, dataset = self._predictor, self._trial.dataset
        numbered = rows.set_column(rows.column_names.index("id"), "id", pa.array(map(str, range(rows.num_rows))))
        prepared = prepare_data(self._task, {"test": numbered}, self._trial.model, dataset)
        batches = prepared.plan.batches(0, prepared.plan.num_batches)
        made = [outputs for _, outputs in predictor.predictions(predictor.read(prepared.test), batches)]
        outputs_NK = torch.cat(made).cpu()
        order = np.argsort(np.array(prepared.test.column("id").to_pylist(), dtype=np.int64))
        first = int(order[0])
        record = self._task.records(outputs_NK[first : first + 1], prepared.test.slice(first, 1), dataset)
        return outputs_NK.double().numpy()[order], answers_of(record, dataset.labels)[0]

    def _scores(self, outputs_NK: np.ndarray, place: int) -> np.ndarray:
        """float64 [N], of the class at this place."""
        if isinstance(self._task, Regression):
            statistics = self._trial.dataset.statistics
            return outputs_NK[:, 0] * statistics.get("std", 1.0) + statistics.get("mean", 0.0)
        scores_N = outputs_NK[:, place]
        if isinstance(self._task, SingleLabel):
            scores_N = scores_N - np.logaddexp.reduce(np.delete(outputs_NK, place, axis=1), axis=1)
        return np.clip(scores_N, -_SUREST, _SUREST)

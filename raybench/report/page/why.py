"""Why the best two configurations answered the hardest examples as they did: what changes without a word, or a patch.

    examples = explained(run, examples, best[:2], job=job, most=20, tell=print)

Each is fitted again in this process. What cannot be explained is one line of `Examples.unexplained`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from raybench.core.errors import IncompatibleError, ModelError, RaybenchError, summary
from raybench.job import Job
from raybench.report.numbers import brief
from raybench.report.page.best import Scored
from raybench.report.page.model import Example, Examples, Weighed, Why
from raybench.report.page.secrets import without_secrets
from raybench.results.raw_rows import by_id
from raybench.results.stored import StoredRun, StoredTrial
from raybench.tasks.catalog import task_of

if TYPE_CHECKING:
    from raybench.replay.explain import Attribution, PartChanges
    from raybench.replay.occlusion import PictureCut

__all__ = ["explained", "marked"]

_CHARACTERS = 200  # of a piece of a text
_PIXELS = 176  # of a marked picture's longer side
_STRONGEST = 0.6  # opacity of the patch that changes most
_LEAST = 0.2  # share of the largest change that is marked
_FOR, _AGAINST = (11, 98, 196), (224, 122, 31)  # blue and orange, which the colour-blind tell apart; signs too
_COLOURS = 64  # of a marked picture's palette


def explained(
    run: StoredRun,
    examples: Examples,
    best: Sequence[Scored],
    *,
    job: Job | None,
    most: int,
    tell: Callable[[str], None],
) -> Examples:
    """The examples, `most` of the hardest with what the answers of these configurations' first seeds hang on."""
    if examples.reason is not None:
        return replace(examples, unexplained=(f"not explained: {examples.reason}",))
    from raybench.replay.explain import refuse_unexplained

    try:
        refuse_unexplained(task_of(_stored(run, best[0]).trial.dataset))
    except IncompatibleError as error:
        return replace(examples, unexplained=(f"not explained: {error}",))
    hardest = examples.hardest[:most]
    whys: dict[str, list[Why]] = {}
    unexplained: list[str] = []
    for one in best:
        place = examples.names.index(one.name)
        try:
            for example, why in _whys(run, one, hardest, job, tell):
                same = examples.right_below is None or why.answer == example.answers[place]
                whys.setdefault(example.id, []).append(replace(why, is_same=same))
        except RaybenchError as error:
            unexplained.append(f"{one.name} is not explained: {without_secrets(str(error))}")
        except Exception as error:  # whatever a candidate's files or code raise costs its own part alone
            unexplained.append(f"{one.name} is not explained: {without_secrets(summary(error))}")
    hardest, disputed = (
        tuple(replace(example, whys=tuple(whys.get(example.id, ()))) for example in some)
        for some in (examples.hardest, examples.disputed)
    )
    return replace(examples, hardest=hardest, disputed=disputed, unexplained=tuple(unexplained))


def _whys(
    run: StoredRun, one: Scored, examples: Sequence[Example], job: Job | None, tell: Callable[[str], None]
) -> Iterable[tuple[Example, Why]]:
    from raybench.replay.explain import open_explainer
    from raybench.replay.find import FoundTrial, job_again, plan_again

    found = FoundTrial(run, _stored(run, one))
    dataset, seconds = found.one.trial.dataset.name, found.one.row.cost.get("fit_seconds")
    took = f" (its fit took {brief(seconds)} s)" if seconds else ""
    tell(f"{dataset}: {one.name} is opened again{took} and asked about {len(examples)} examples")
    planned, plan = plan_again(found, job if job is not None else job_again(run, None))
    if planned.trial.weights_fingerprint != found.one.trial.weights_fingerprint:
        raise ModelError("its weights are others now than when it was scored")
    explainer = open_explainer(planned, plan, threads=found.threads, on_gpu=found.on_gpu)
    rows = by_id(plan.datasets[dataset].loaded.splits["test"], [example.id for example in examples])
    for place, example in enumerate(examples):
        yield example, _why(one.name, explainer.attribution(rows.slice(place, 1)))


def _stored(run: StoredRun, one: Scored) -> StoredTrial:
    """Its first seed, whose answers are shown."""
    return next(trial for trial in run.trials if trial.trial.trial_id == one.trial_ids[0])


def _why(name: str, found: Attribution) -> Why:
    largest = max((abs(change) for part in found.parts for change in part.changes), default=0.0)
    return Why(
        name=name,
        answer=found.answer,
        of=found.of,
        score=found.score,
        parts=tuple(_weighed(part, largest) for part in found.parts),
        is_same=True,
    )


def _weighed(part: PartChanges, largest: float) -> Weighed:
    from raybench.replay.occlusion import TextCut

    cut = part.cut
    if isinstance(cut, TextCut):
        shown = [piece if len(piece) <= _CHARACTERS else f"{piece[:_CHARACTERS]}… " for piece in cut.pieces]
        return Weighed(column=cut.column, pieces=tuple(zip(shown, part.changes, strict=True)), unread=part.unread)
    tops, lefts = ({edge: place for place, edge in enumerate(sorted(set(edges)), 1)} for edges in (
        [box.top for box in cut.boxes], [box.left for box in cut.boxes]
    ))  # fmt: skip
    names = [f"row {tops[box.top]}, column {lefts[box.left]}" for box in cut.boxes]
    shares = np.array(part.changes) / (largest or 1.0)
    return Weighed(
        column=cut.column, pieces=tuple(zip(names, part.changes, strict=True)), picture=_address(marked(cut, shares))
    )


def marked(cut: PictureCut, shares: np.ndarray) -> np.ndarray:
    """The picture in grey, uint8 [H, W, 3], its boxes tinted by their shares in [−1, 1], with + or − in them."""
    from PIL import Image, ImageDraw

    height, width, channels = cut.pixels.shape
    scale = _PIXELS / max(height, width)
    grey = Image.fromarray(cut.pixels[:, :, 0] if channels == 1 else cut.pixels[:, :, :3]).convert("L").convert("RGB")
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = grey.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image, "RGBA")
    for (top, bottom, left, right), share in zip(cut.boxes, shares.tolist(), strict=True):
        if abs(share) < _LEAST:
            continue
        x0, y0, x1, y1 = (round(edge * scale) for edge in (left, top, right, bottom))
        colour = _FOR if share > 0 else _AGAINST
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), fill=(*colour, round(255 * _STRONGEST * abs(share))))
        x, y, arm = (x0 + x1) // 2, (y0 + y1) // 2, max(1, min(x1 - x0, y1 - y0) // 5)
        for ink, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):  # seen on dark and on light
            draw.line((x - arm, y, x + arm, y), fill=ink, width=thick)
            if share > 0:
                draw.line((x, y - arm, x, y + arm), fill=ink, width=thick)
    return np.asarray(image)


def _address(pixels: np.ndarray) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).quantize(_COLOURS).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()

"""Coverage of the intervals and level of the tests, measured: `python tests/bench/bench_intervals.py [family …]`.

A grid of metric × n × setting (easy, hard, imbalanced, clustered). Every setting is a finite population of records of
two models, equal in distribution, and one that is worse; a sample draws records (or clusters) of it with replacement,
so the truth is the metric of the population, without error. The equal models swap records at random. Counted are, in
per cent, how often the nominal 95 % interval holds the truth, how often the two equal models differ at 5 %, and how
often the worse one is found. Writes raybench/metrics/measured.json, which `describe` reads, and the
table in the README.md beside it. Seeded; one cell's figures do not depend on which others are asked for.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics import MetricSet, permutation
from raybench.metrics.compare import compare
from raybench.metrics.measured import outside
from raybench.metrics.metric import Metric, OneHot
from raybench.metrics.scoring import Scorer

SIZES = (50, 200, 1000)
SETTINGS = ("easy", "hard", "imbalanced", "clustered")
POOL = 20_000
CLUSTER = 5
OUT = Path(__file__).parents[2] / "raybench" / "metrics" / "measured.json"


class Setting(NamedTuple):
    """What a family's records are drawn with."""

    name: str
    rng: np.random.Generator
    size: int

    def pick(self, easy: float, hard: float, imbalanced: float, clustered: float) -> float:
        return {"easy": easy, "hard": hard, "imbalanced": imbalanced, "clustered": clustered}[self.name]

    def shared(self, scale: float = 1.0) -> np.ndarray:
        """A number a record: of its cluster and of itself, of which half the variance is the cluster's."""
        own = self.rng.normal(size=self.size)
        if self.name != "clustered":
            return scale * own
        cluster = np.repeat(self.rng.normal(size=-(-self.size // CLUSTER)), CLUSTER)[: self.size]
        return scale * (own + cluster) / np.sqrt(2)


Columns = dict[str, object]
FIGURES = {  # of a cell, by the number of samples that they rest upon
    "simulations": ("coverage", "below", "above"),
    "tests": ("level",),
    "pairs": ("power", "difference"),
}


def truth_of(s: Setting, num_classes: int) -> np.ndarray:
    even = np.full(num_classes, 1 / num_classes)
    share = [0.9, 0.1] if num_classes == 2 else [0.6, 0.25, 0.1, 0.05]
    return s.rng.choice(num_classes, size=s.size, p=share if s.name == "imbalanced" else even)


def classes(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Four classes, each right with its own probability; two models share what is difficult."""
    target, difficulty = truth_of(s, 4), s.shared()
    level = np.array([2.3, 2.1, 2.0, 1.9]) * s.pick(1, 0.15, 0.6, 0.5)

    def model(worse: float) -> Columns:
        noise = s.rng.normal(size=s.size)
        right = (difficulty + noise) / np.sqrt(2) < level[target] - worse * s.pick(1.2, 0.6, 0.8, 0.6)
        wrong = (target + s.rng.integers(1, 4, s.size)) % 4
        return {"prediction": np.where(right, target, wrong).astype(np.int32)}

    return {"target": target.astype(np.int32)}, model


def binary(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Two classes and a score; confidence is calibrated, but in the hard setting twice too sure."""
    target, shared = truth_of(s, 2), s.shared()
    apart = s.pick(3.0, 0.8, 1.6, 1.2)

    def model(worse: float) -> Columns:
        own = apart * (1 - 0.4 * worse)
        x = own * (target - 0.5) + np.sqrt(0.5) * (shared + s.rng.normal(size=s.size))
        score = own * x + np.log(s.pick(1, 1, 1 / 9, 1))
        score = score * s.pick(1, 2, 1, 1)
        p = 1 / (1 + np.exp(-score))
        nll = np.logaddexp(0, np.where(target == 1, -score, score))
        return {
            "score": score.astype(np.float32),
            "prediction": (p > 0.5).astype(np.int32),
            "confidence": np.maximum(p, 1 - p),
            "nll": nll,
            "brier": 2 * (p - target) ** 2,
        }

    return {"target": target.astype(np.int32)}, model


def several(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Four classes with a score each."""
    target, shared = truth_of(s, 4), s.shared(0.7)
    apart = s.pick(3.5, 0.8, 2.0, 1.5)

    def model(worse: float) -> Columns:
        scores = s.rng.normal(size=(s.size, 4))
        scores[np.arange(s.size), target] += apart * (1 - 0.35 * worse) + shared
        rank = (scores > scores[np.arange(s.size), target][:, None]).sum(axis=1)
        return {"scores": list(scores.astype(np.float32)), "rank": rank.astype(np.int32)}

    return {"target": target.astype(np.int32)}, model


def labels(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Five labels a record."""
    share = np.full(5, 0.4) if s.name != "imbalanced" else np.array([0.5, 0.3, 0.2, 0.1, 0.06])
    targets, shared = s.rng.random((s.size, 5)) < share, s.shared(0.7)[:, None]
    apart = s.pick(4.0, 0.8, 2.5, 1.5)

    def model(worse: float) -> Columns:
        scores = apart * (1 - 0.35 * worse) * (targets - 0.5) + s.rng.normal(size=(s.size, 5)) * 0.8
        scores += shared * (2 * targets - 1) * 0.6
        return {"scores": list(scores.astype(np.float32)), "predictions": list((scores > 0).astype(np.int8))}

    return {"targets": list(targets.astype(np.int8))}, model


def numbers(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """A number, predicted with noise; in the imbalanced setting targets and errors have long tails."""
    target = s.rng.normal(size=s.size) if s.name != "imbalanced" else s.rng.lognormal(sigma=0.8, size=s.size)
    shared, scale = s.shared(), s.pick(0.2, 3.0, 0.5, 0.7)

    def model(worse: float) -> Columns:
        noise = np.sqrt(0.5) * (shared + s.rng.normal(size=s.size)) * scale * (1 + 0.3 * worse)
        return {"prediction": target + noise * (target if s.name == "imbalanced" else 1.0)}

    return {"target": target}, model


def language(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """The nll of a passage and its lengths."""
    tokens = s.rng.integers(*(5, 40) if s.name != "imbalanced" else (2, 400), s.size)
    level = np.exp(s.shared(s.pick(0.2, 1.0, 0.5, 0.6)))

    def model(worse: float) -> Columns:
        a_token = s.pick(1.5, 4.0, 3.0, 3.0) * (1 + 0.08 * worse)
        return {"nll": s.rng.gamma(tokens * 1.0, 1.0) * a_token * level}

    return {"num_tokens": tokens, "num_words": tokens // 2 + 1, "num_bytes": tokens * 4}, model


def texts(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """A text of 12 words or so, heard with mistakes; in the imbalanced setting some are long."""
    words = [f"w{k}" for k in range(300)]
    lengths = s.rng.integers(6, 18, s.size) if s.name != "imbalanced" else s.rng.geometric(0.08, s.size) + 1
    truths = [[words[k] for k in (s.rng.zipf(1.3, length) - 1) % 300] for length in lengths]
    kept = 1 / (1 + np.exp(-(s.pick(3.8, 0.2, 1.5, 1.5) + s.shared())))

    def model(worse: float) -> Columns:
        heard = []
        for truth, share in zip(truths, kept, strict=True):
            draw = s.rng.random(len(truth))
            share = share * (1 - 0.1 * worse)
            said = [w if u < share else words[int(s.rng.integers(300))] for w, u in zip(truth, draw, strict=True)]
            heard.append(" ".join(w for w, u in zip(said, draw, strict=True) if u < 0.5 + share))
        return {"hypothesis": heard}

    return {"references": [[" ".join(truth)] for truth in truths]}, model


def entities(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Sentences of ten words with entities of three types, one of them rare in the imbalanced setting."""
    share = [0.4, 0.35, 0.25] if s.name != "imbalanced" else [0.65, 0.28, 0.07]
    kinds = np.where(s.rng.random((s.size, 10)) < 0.2, s.rng.choice(3, size=(s.size, 10), p=share), 3)
    names = np.array(["B-PER", "B-ORG", "B-LOC", "O"])
    difficulty = s.shared()[:, None]

    def model(worse: float) -> Columns:
        limit = s.pick(2.2, 0.3, 1.2, 1.0) - 0.5 * worse
        wrong = (difficulty + s.rng.normal(size=kinds.shape)) / np.sqrt(2) > limit
        other = np.where(kinds == 3, np.where(s.rng.random(kinds.shape) < 0.2, s.rng.integers(0, 3, kinds.shape), 3), 3)
        return {"tags": names[np.where(wrong, other, kinds)].tolist()}

    return {"target_tags": names[kinds].tolist()}, model


def pixels(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Images of three classes of pixels; in the imbalanced setting one class is seldom there."""
    alpha = np.array([3.0, 3.0, 3.0]) if s.name != "imbalanced" else np.array([6.0, 3.0, 0.3])
    target = s.rng.multinomial(400, s.rng.dirichlet(alpha, s.size))
    shared = s.shared()[:, None]

    def model(worse: float) -> Columns:
        noise = np.sqrt(0.5) * (shared + s.rng.normal(size=(s.size, 1)))
        share = 1 / (1 + np.exp(-(s.pick(4.5, 0.3, 2.0, 1.5) + noise - 0.4 * worse)))
        hits = s.rng.binomial(target, share)
        lost = (target - hits).sum(axis=1)
        predicted = hits + s.rng.multinomial(lost, [1 / 3] * 3)
        return {"intersection": list(hits), "predicted_pixels": list(predicted)}

    return {"target_pixels": list(target)}, model


def documents(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Queries with twenty documents; in the imbalanced setting one is relevant, else some are."""
    relevance = (s.rng.random((s.size, 20)) < 0.2).astype(float) * s.rng.integers(1, 4, (s.size, 20))
    relevance[np.arange(s.size), s.rng.integers(0, 20, s.size)] = 1
    if s.name == "imbalanced":
        relevance = np.eye(20)[s.rng.integers(0, 20, s.size)]
    level = s.shared(0.8)[:, None]

    def model(worse: float) -> Columns:
        apart = np.maximum(0, s.pick(3.5, 0.5, 1.5, 1.2) * (1 - 0.3 * worse) + level)
        return {"scores": list(apart * (relevance > 0) + s.rng.normal(size=relevance.shape))}

    return {"relevance": list(relevance)}, model


def generated(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Features of four numbers, half real; probabilities of four classes."""
    real = np.arange(s.size) % (2 if s.name != "imbalanced" else 10) == 0
    real = real if s.name != "clustered" else np.repeat(np.arange(-(-s.size // CLUSTER)) % 2 == 0, CLUSTER)[: s.size]
    shared = s.shared()[:, None]

    def model(worse: float) -> Columns:
        x = np.sqrt(0.5) * (shared + s.rng.normal(size=(s.size, 4)))
        far = s.pick(0.5, 1.5, 1.0, 1.0) * (1 + 0.3 * worse)
        x = np.where(real[:, None], x, x * 1.2 + far)
        logits = s.rng.normal(size=(s.size, 4)) * s.pick(4, 0.7, 2, 2) + shared
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return {"features": list(x.astype(np.float32)), "probabilities": list(p)}

    return {"real": real}, model


def boxes(s: Setting) -> tuple[Columns, Callable[[float], Columns]]:
    """Images with one to four boxes of two classes, some missed, some false; rare classes in the imbalanced setting."""
    counts = s.rng.integers(1, 5, s.size)
    share = 0.5 if s.name != "imbalanced" else 0.08
    truths, kinds = [], []
    for count in counts:
        side = s.rng.choice([20.0, 60.0, 140.0], count) * s.rng.uniform(0.8, 1.2, count)
        truths.append(np.stack([np.arange(count) * 200.0, np.zeros(count), side, side], axis=1))
        kinds.append((s.rng.random(count) < share).astype(np.int32))
    level = s.shared(0.3)

    def model(worse: float) -> Columns:
        found: list[list] = [[], [], []]
        for truth, kind, shift in zip(truths, kinds, level, strict=True):
            jitter = s.rng.normal(size=truth.shape) * truth[:, 2:3] * s.pick(0.02, 0.12, 0.05, 0.06) * np.exp(shift)
            hit = s.rng.random(len(truth)) < s.pick(0.97, 0.6, 0.85, 0.8) - 0.1 * worse
            false = s.rng.poisson(s.pick(0.1, 1.0, 0.5, 0.5))
            side = s.rng.uniform(20, 140, false)
            wrong = np.stack([np.full(false, 900.0) + np.arange(false) * 200, np.zeros(false), side, side], axis=1)
            moved = np.maximum(truth + jitter, 1.0)[hit]
            found[0].append(np.concatenate([moved, wrong]).reshape(-1))
            found[1].append(np.concatenate([kind[hit], s.rng.integers(0, 2, false)]).astype(np.int32))
            found[2].append(np.concatenate([s.rng.beta(5, 2, len(moved)), s.rng.beta(2, 4, false)]).astype(np.float32))
        return {"boxes": found[0], "labels": found[1], "box_scores": found[2]}

    return {"truth_boxes": [t.reshape(-1) for t in truths], "truth_labels": kinds}, model


class Family(NamedTuple):
    draw: Callable[[Setting], tuple[Columns, Callable[[float], Columns]]]
    metrics: Sequence[str]
    config: dict
    size: int = POOL
    cost: int = 1  # so many times fewer simulations


_CLASS = "macro_precision macro_recall macro_f1 macro_specificity weighted_precision weighted_recall weighted_f1 "
_CLASS += "weighted_specificity accuracy micro_f1 balanced_accuracy mcc cohen_kappa"
_PER_LABEL = "macro_precision macro_recall macro_f1 micro_precision micro_recall micro_f1 weighted_f1 samples_f1 "
_PER_LABEL += "exact_match roc_auc average_precision"
FAMILIES = {
    "classes": Family(classes, _CLASS.split(), {"labels": list("abcd")}),
    "binary": Family(
        binary,
        ["precision", "recall", "f1", "specificity", "log_loss", "brier", "ece", "mce", "roc_auc", "average_precision"],
        {"labels": ["n", "y"]},
    ),
    "several": Family(
        several,
        ["top_2_accuracy", "weighted_roc_auc", "roc_auc_ovo", "weighted_average_precision"],
        {"labels": list("abcd")},
    ),
    "labels": Family(
        labels,
        [f"multilabel_{name}" for name in _PER_LABEL.split()] + ["hamming_loss"],
        {"labels": list("abcde")},
    ),
    "numbers": Family(numbers, ["mse", "rmse", "mae", "r2", "pearson", "spearman", "kendall"], {}),
    "language": Family(
        language, ["perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "token_nll"], {}
    ),
    "texts": Family(
        texts,
        ["bleu", "chrf", "chrf++", "ter", "rouge1", "rouge2", "rougeL", "exact_match", "qa_f1", "wer", "cer"],
        {"transform": "none", "tokenize": "none"},
        3000,
    ),
    "entities": Family(
        entities,
        ["entity_precision", "entity_recall", "entity_f1", "entity_macro_f1"],
        {"labels": ["O", "B-PER", "B-ORG", "B-LOC"]},
    ),
    "pixels": Family(pixels, ["mean_iou", "dice", "pixel_accuracy"], {"labels": list("abc")}),
    "documents": Family(
        documents,
        ["ndcg", "ndcg_at_10", "mrr", "mean_average_precision", "hit_rate_at_3", "recall_at_5", "precision_at_5"],
        {},
        5000,
    ),
    "generated": Family(generated, ["kid", "inception_score", "fid"], {}, 4000, cost=4),
    "boxes": Family(
        boxes,
        [
            "coco_ap",
            "coco_ap_50",
            "coco_ap_75",
            "coco_ap_small",
            "coco_ap_medium",
            "coco_ap_large",
            "coco_ar_1",
            "coco_ar_100",
        ],
        {"labels": ["a", "b"]},
        2000,
        cost=10,
    ),
}


def columns_of(columns: Columns) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


class Population:
    """The records of two equal models and a worse one, with what each record adds to every sum."""

    def __init__(self, family: Family, setting: str, seed: int) -> None:
        truths, model = family.draw(Setting(setting, np.random.default_rng(seed), family.size))
        shared = columns_of(truths)
        tables = []
        for worse in (0.0, 0.0, 1.0):
            said = columns_of(model(worse))
            tables.append(pa.table({c: t[c] for t in (shared, said) for c in t.column_names}))
        self.all = pa.concat_tables(tables).combine_chunks()  # model after model
        self.size, self.clustered = family.size, setting == "clustered"
        config = {**family.config, **({"group": "group"} if self.clustered else {})}
        self.plain = MetricSet(family.metrics, family.config)
        self.set = MetricSet(family.metrics, config)
        # a sample that takes each record from one of two models at random is one of both models' records together
        self.truth = self._scores(pa.concat_tables(tables[:2]))
        self.worse = self._scores(tables[2])
        self.kept: dict[str, dict] = {}
        for name in family.metrics:
            metric, options = self.set.metric(name)
            if isinstance(metric, Metric) and name != "fid":
                self._keep(name, metric, options)

    def _scores(self, records: pa.Table) -> dict[str, float]:
        records = records.append_column("id", pa.array(np.arange(records.num_rows).astype(str)))
        scores = self.plain.compute(self.plain.states(records), lambda: records)
        return {name: score.value for name, score in scores.items()}

    def _keep(self, name: str, metric: Metric, options: dict) -> None:
        """Read what was counted once for the whole population instead of counting it again in every sample."""
        key = metric.measure.name + metric.measure.config(options)
        if key not in self.kept:
            centred = self.all if metric.measure.centre is None else metric.measure.centre(self.all)
            self.kept[key] = metric.measure.contributions(centred, options)

        def contributions(records: pa.Table, options: dict) -> dict:
            places = records["place"].to_numpy()
            return {
                field: OneHot(c.codes[places], c.size) if isinstance(c, OneHot) else c[places]
                for field, c in self.kept[key].items()
            }

        measure = replace(metric.measure, contributions=contributions, totals=None, centre=None, columns=("place",))
        self.set._metrics[name] = replace(metric, measure=measure)

    def draw(self, rng: np.random.Generator, num_rows: int) -> list[pa.Table]:
        """A sample of the records: of two models that are swapped at random, and so equal, and of the worse one."""
        together = CLUSTER if self.clustered else 1
        first = rng.integers(0, self.size // together, num_rows // together)
        places = (first[:, None] * together + np.arange(together)).reshape(-1)
        swapped = np.repeat(rng.integers(0, 2, num_rows // together), together)
        return [self.take(places + which * self.size) for which in (swapped, 1 - swapped, 2)]

    def take(self, places: np.ndarray) -> pa.Table:
        beside: dict[str, object] = {"id": np.arange(places.size).astype(str), "place": places}
        if self.clustered:
            beside["group"] = np.arange(places.size) // CLUSTER
        taken = pa.array(places)
        needed = sorted(self.set.columns - set(beside))
        return pa.table({name: self.all[name].take(taken) for name in needed} | beside)


def one(job: tuple[str, str, int, int, int, int]) -> list[dict]:
    """A cell of the grid: figures of all metrics of a family."""
    name, setting, num_rows, simulations, tests, seed = job
    family = FAMILIES[name]
    population = Population(family, setting, seed)
    permutation.FLIPS = 999
    Scorer._classes = lambda *_: {}  # their intervals are not counted, and cost as much as all others
    start = time.perf_counter()
    held = {metric: [0, 0, 0, 0] for metric in family.metrics}  # held, below, above, defined
    level = {metric: [0, 0] for metric in family.metrics}  # equal models: found, tested
    power = {metric: [0, 0, 0] for metric in family.metrics}  # a worse one: found, tested, difference held
    for k in range(max(simulations, tests)):
        rng = np.random.default_rng([seed, num_rows, k, SETTINGS.index(setting)])
        tables = population.draw(rng, num_rows)
        if k < simulations:
            first = tables[0]
            scores = population.set.compute(population.set.states(first), lambda t=first: t, seed=k)
            for metric, score in scores.items():
                if score.low is not None:
                    truth = population.truth[metric]
                    under, over = truth < score.low - 1e-12, truth > score.high + 1e-12
                    for place, counts in enumerate((not under and not over, under, over, True)):
                        held[metric][place] += counts
        if k < tests:
            for metric, equal in compare_with(population, tables[0], tables[1], k).items():
                if equal.p_value is not None:
                    level[metric][0] += equal.p_value <= 0.05
                    level[metric][1] += 1
            if k % 4:  # power need not be known as well as the level
                continue
            for metric, worse in compare_with(population, tables[0], tables[2], k).items():
                if worse.p_value is not None and worse.low is not None:
                    power[metric][0] += worse.p_value <= 0.05
                    power[metric][1] += 1
                    true = population.truth[metric] - population.worse[metric]
                    power[metric][2] += worse.low - 1e-12 <= true <= worse.high + 1e-12
    took = time.perf_counter() - start
    rows = []
    for metric in family.metrics:
        inside, under, over, defined = held[metric]
        (found, tested), (seen, pairs, covered) = level[metric], power[metric]
        share = lambda part, whole: None if not whole else round(100 * part / whole, 1)  # noqa: E731
        rows.append(
            {
                "metric": metric,
                "setting": setting,
                "n": num_rows,
                "coverage": share(inside, defined),
                "below": share(under, defined),
                "above": share(over, defined),
                "simulations": defined,
                "level": share(found, tested),
                "tests": tested,
                "power": share(seen, pairs),
                "difference": share(covered, pairs),
                "pairs": pairs,
                "value": round(population.truth[metric], 4),
            }
        )
    print(f"{name} {setting} n = {num_rows}: {took:.0f} s", file=sys.stderr, flush=True)
    return rows


def compare_with(population: Population, a: pa.Table, b: pa.Table, seed: int) -> dict:
    from unittest.mock import patch

    with patch("raybench.metrics.compare.MetricSet", lambda names, config: population.set):
        return compare(population.set.names, a, b, {}, seed=seed)


def show(rows: Sequence[dict]) -> None:
    """A line a metric; `*` where the coverage, `!` where the level is outside what was asked."""
    for row in rows:
        off = "" if row["coverage"] and 93 <= row["coverage"] <= 97 else " *"
        off += " !" if row["level"] is not None and not 4 <= row["level"] <= 6 else ""
        place = f"{row['metric']:30s}{row['setting']:12s}{row['n']:5d}{row['value']:8.3f}"
        held = f"{row['coverage']} ({row['below']}, {row['above']})"
        print(f"{place}  {held:22s}  {row['level']}  {row['power']}  {row['difference']}{off}", flush=True)


def keep(rows: Sequence[dict], out: Path) -> None:
    """Put the figures of the cells into the table, in place of older ones; what was not asked for stays."""
    known = json.loads(out.read_text()) if out.exists() else []
    by_cell = {(row["metric"], row["setting"], row["n"]): row for row in known}
    for row in rows:
        cell = row["metric"], row["setting"], row["n"]
        older = by_cell.get(cell, row)
        kept = [one for number, figures in FIGURES.items() if not row[number] for one in (number, *figures)]
        by_cell[cell] = {**row, **{figure: older[figure] for figure in kept}}
    table = sorted(by_cell.values(), key=lambda row: (row["metric"], SETTINGS.index(row["setting"]), row["n"]))
    out.write_text("[\n" + ",\n".join(json.dumps(row) for row in table) + "\n]\n")


def markdown(cells: Sequence[dict]) -> str:
    """The table of README.md: a row a metric, what is off in bold."""
    kept = [cell for cell in cells if cell["simulations"]]
    lines = [
        "| metric | n = 50 | n = 200 | n = 1000 | type I | power |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(cell["metric"] for cell in kept):
        by = {(cell["n"], cell["setting"]): cell for cell in kept if cell["metric"] == name}
        columns = []
        for size in SIZES:
            found = [by.get((size, setting)) for setting in SETTINGS]
            told = [
                "–" if c is None else f"**{c['coverage']:g}**" if outside(c) else f"{c['coverage']:g}" for c in found
            ]
            columns.append(" / ".join(told) if any(found) else "–")
        for share, number in (("level", "tests"), ("power", "pairs")):
            done = [cell for cell in by.values() if cell[number]]
            total = sum(cell[number] for cell in done)
            columns.append(f"{sum(cell[share] * cell[number] for cell in done) / total:.1f}" if total else "–")
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def rewrite(readme: Path, table: str) -> None:
    """Put the table in place of the one in the file."""
    before, _, rest = readme.read_text().partition("| metric | n = 50 |")
    after = rest.partition("\n\n")[2]
    readme.write_text(f"{before}{table}\n" + (f"\n{after}" if after else ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--tests", type=int, default=400)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS))
    parser.add_argument("--metrics", nargs="*", help="only these of the families")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    for name in given.families:
        chosen = [metric for metric in FAMILIES[name].metrics if given.metrics is None or metric in given.metrics]
        FAMILIES[name] = FAMILIES[name]._replace(metrics=chosen)
    jobs = [
        (
            family,
            setting,
            size,
            -(-given.simulations // FAMILIES[family].cost),
            given.tests // FAMILIES[family].cost // (1 if size < 1000 else 2),
            1,
        )
        for family in given.families
        for setting in given.settings
        for size in given.sizes
    ]
    print(f"{'metric':30s}{'setting':12s}{'n':>5s}{'value':>8s}  coverage (below, above)  level  power  difference")
    with ProcessPoolExecutor(given.processes) as pool:
        for rows in pool.map(one, jobs) if given.processes > 1 else map(one, jobs):
            show(rows)
            keep(rows, given.out)
    rewrite(given.out.with_name("README.md"), markdown(json.loads(given.out.read_text())))

"""Metrics against scikit-learn, torchmetrics and sacrebleu in one run: `python tests/bench/bench_metrics.py`.

Prints a table with medians, the ratio to the peer, and the multiple of the time a plain read of the input takes.
Every pair is checked to give the same result before it is timed. Name benchmarks to run only those.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch


def median(run: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return statistics.median(times)


def read_time(*arrays: np.ndarray) -> float:
    """The time to read the arrays once, as fast as a reduction does."""
    words = [array.reshape(-1).view(np.uint8)[: array.nbytes // 8 * 8].view(np.int64) for array in arrays]
    return sum(median(lambda array=array: np.bitwise_or.reduce(array), 5) for array in words)


def show(name: str, ours: float, limit: float | None = None, **peers: float) -> None:
    unit, scale = ("ms", 1e3) if ours > 1e-3 else ("µs", 1e6)
    cells = [f"{ours * scale:9.2f} {unit}", f"{ours / limit:6.1f}× read" if limit else " " * 12]
    cells += [f"{peer}: {seconds * scale:.1f} {unit} ({seconds / ours:.1f}×)" for peer, seconds in peers.items()]
    print(f"{name:44s}", "  ".join(cells), flush=True)


def confusion_options(num_classes: int) -> dict:
    return {"labels": list(range(num_classes)), "ignore_index": -100}


def confusion(num_rows: int = 10_000_000) -> None:
    from sklearn.metrics import confusion_matrix
    from torchmetrics.classification import MulticlassConfusionMatrix

    from raybench.metrics.confusion import CONFUSION, count_cells

    rng = np.random.default_rng(0)
    for num_classes in (2, 10, 1000):
        for kind in (np.int64, np.int32, np.int16):
            target, prediction = (rng.integers(0, num_classes, num_rows).astype(kind) for _ in range(2))
            ours = median(lambda t=target, p=prediction, c=num_classes: count_cells(t, p, c), 3)
            peers = {}
            if kind == np.int64:
                part = slice(0, num_rows // 10)
                expected = confusion_matrix(target[part], prediction[part], labels=range(num_classes))
                assert (count_cells(target[part], prediction[part], num_classes) == expected).all()
                tensors = torch.from_numpy(prediction), torch.from_numpy(target)
                peer = MulticlassConfusionMatrix(num_classes)
                peers["torchmetrics"] = median(lambda peer=peer, pair=tensors: peer.update(*pair), 1)
                start = time.perf_counter()
                confusion_matrix(target, prediction)
                peers["scikit-learn"] = time.perf_counter() - start
            limit = read_time(target, prediction)
            table, options = pa.table({"target": target, "prediction": prediction}), confusion_options(num_classes)
            state = median(lambda table=table, options=options: CONFUSION.state(table, options), 3)
            show(f"  as a state, C = {num_classes}, {np.dtype(kind).name}", state, limit)
            show(f"confusion of 10 M, C = {num_classes}, {np.dtype(kind).name}", ours, limit, **peers)


def small_update() -> None:
    from torchmetrics.classification import MulticlassConfusionMatrix

    from raybench.metrics.confusion import ConfusionCounter

    rng = np.random.default_rng(0)
    target, prediction = (rng.integers(0, 1000, 32) for _ in range(2))
    counter = ConfusionCounter(1000)
    peer = MulticlassConfusionMatrix(1000)
    tensors = torch.from_numpy(prediction), torch.from_numpy(target)
    counter.update(target, prediction)
    peer.update(*tensors)
    assert (counter.cells[:, :-1] == peer.compute().numpy()).all()
    ours = median(lambda: [counter.update(target, prediction) for _ in range(1000)], 5) / 1000
    theirs = median(lambda: [peer.update(*tensors) for _ in range(20)], 3) / 20
    show("update of a batch of 32, C = 1000", ours, torchmetrics=theirs)


def auc(num_rows: int = 10_000_000) -> None:
    from sklearn.metrics import roc_auc_score
    from torchmetrics.classification import BinaryAUROC

    from raybench.metrics.roc import auc_pairs

    rng = np.random.default_rng(0)
    for share in (0.5, 0.1):
        target = rng.random(num_rows) < share
        score = (rng.normal(size=num_rows) + target).astype(np.float32)

        def exact(target: np.ndarray = target, score: np.ndarray = score) -> float:
            positive, negative = score[target], score[~target]
            return auc_pairs(positive, negative) / (2 * positive.size * negative.size)

        start = time.perf_counter()
        expected = roc_auc_score(target, score)
        sklearn_time = time.perf_counter() - start
        assert abs(exact() - expected) < 1e-12, (exact(), expected)
        peer = BinaryAUROC()
        tensors = torch.from_numpy(score), torch.from_numpy(target.astype(np.int64))

        def exact_peer(peer: BinaryAUROC = peer, tensors: tuple = tensors) -> float:
            peer.reset()
            peer.update(*tensors)
            return float(peer.compute())

        start = time.perf_counter()
        exact_peer()
        torchmetrics_time = time.perf_counter() - start
        peers = {"scikit-learn": sklearn_time, "torchmetrics": torchmetrics_time}
        show(f"exact AUC of 10 M, {share:.0%} positive", median(exact, 3), read_time(score, target), **peers)


def peak_memory(run: Callable[[], object]) -> int:
    """How much the resident memory grew above its start while `run` ran, in bytes (Linux)."""

    def status(name: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    Path("/proc/self/clear_refs").write_text("5")
    start = status("VmRSS")
    run()
    return status("VmHWM") - start


def perplexity() -> None:
    from torch.nn.functional import cross_entropy
    from torchmetrics.text import Perplexity

    from raybench.metrics.records import token_nll

    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16):
        logits = torch.randn(16, 256, 32000, generator=generator).to(dtype)
        target = torch.randint(0, 32000, (16, 256), generator=generator)
        memory = peak_memory(lambda x=logits, t=target: token_nll(x, t))  # first, while no freed block can be reused
        plain = cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none")
        assert torch.allclose(token_nll(logits, target).flatten(), plain, atol=1e-5)
        limit = read_time(logits.view(torch.int16 if dtype == torch.bfloat16 else torch.int32).numpy())
        ours = median(lambda x=logits, t=target: token_nll(x, t), 3)
        whole = median(lambda x=logits, t=target: cross_entropy(x.flatten(0, 1).float(), t.flatten()), 1)
        peers = {"whole": whole}
        if dtype == torch.float32:
            peer = Perplexity()
            peers["torchmetrics"] = median(lambda x=logits, t=target, peer=peer: peer.update(x, t), 1)
        show(f"token nll of [16, 256, 32000] {str(dtype)[6:]}", ours, limit, **peers)
        print(f"{'':44s} extra memory {memory / 2**20:.1f} MiB", flush=True)


def bleu() -> None:
    import sacrebleu

    from raybench.metrics import MetricSet, evaluate

    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(500)]
    truths = [" ".join(rng.choice(words, int(rng.integers(8, 30)))) for _ in range(3000)]
    heard = [" ".join(w if rng.random() < 0.7 else str(rng.choice(words)) for w in t.split()) for t in truths]
    table = pa.table({"id": [f"s{k}" for k in range(3000)], "hypothesis": heard, "references": [[t] for t in truths]})
    assert abs(evaluate(["bleu"], table, {})["bleu"].value - sacrebleu.corpus_bleu(heard, [truths]).score) < 1e-9
    from raybench.metrics.bootstrap import Units
    from raybench.metrics.evidence import canonical

    metric, options = MetricSet(["bleu"], {}).metric("bleu")
    contributions = metric.measure.contributions(canonical(table), options)

    def replicates() -> np.ndarray:
        return metric.value(Units.of(canonical(table), seed=0).replicate(contributions), options)

    ours = median(replicates, 5)
    counted = median(lambda: metric.measure.contributions(table, options), 1)
    start = time.perf_counter()
    sacrebleu.metrics.BLEU().corpus_score(heard, [truths], n_bootstrap=1000)
    theirs = time.perf_counter() - start - counted
    show("1,000 BLEU bootstraps of 3,000 segments", ours, sacrebleu=theirs)


def fused() -> None:
    from raybench.metrics.records import classification_records

    generator = torch.Generator().manual_seed(0)
    for rows, classes in ((32, 10), (256, 1000)):
        logits = torch.randn(rows, classes, generator=generator)
        target = torch.randint(0, classes, (rows,), generator=generator)
        ours = median(lambda x=logits, t=target: [classification_records(x, t) for _ in range(20)], 5) / 20
        softmax = median(lambda x=logits: [x.softmax(1).argmax(1) for _ in range(20)], 5) / 20
        show(f"records of [{rows}, {classes}] logits", ours, **{"softmax + argmax alone": softmax})


def intervals() -> None:
    """What an interval costs beside its value, in processor seconds: ECE of a million rows, COCO, FID."""
    from bench_intervals import Setting, boxes, columns_of

    from raybench.metrics import MetricSet
    from raybench.metrics.detection import FIGURES

    rng = np.random.default_rng(0)

    def both(names: list[str], config: dict, table: pa.Table, what: str, repeats: int = 3) -> None:
        metrics = MetricSet(names, config)

        def compute(*, intervals: bool) -> None:
            scorer = metrics.scorer(metrics.states(table), lambda: table)
            scorer._intervals = intervals
            for name in names:
                metrics.score(name, scorer)

        value, whole = (
            median(lambda asked=asked: compute(intervals=asked), repeats, time.process_time) for asked in (False, True)
        )
        show(f"{what}, with interval", whole, value=value)

    num_rows = 1_000_000
    confidence = rng.uniform(0.5, 1, num_rows)
    target = rng.integers(0, 2, num_rows).astype(np.int32)
    prediction = np.where(rng.random(num_rows) < confidence, target, 1 - target).astype(np.int32)
    columns = {"id": np.arange(num_rows).astype(str), "target": target, "prediction": prediction}
    both(["ece"], {"labels": ["a", "b"]}, pa.table({**columns, "confidence": confidence}), "ECE of 1 M rows")

    truths, model = boxes(Setting("hard", rng, 1000))
    images = columns_of({"id": np.arange(1000).astype(str), **truths, **model(0.0)})
    both(["coco_ap"], {"labels": ["a", "b"]}, images, "COCO AP of 1,000 images")
    both([f"coco_{figure}" for figure in FIGURES], {"labels": ["a", "b"]}, images, "COCO's twelve figures of these")

    num_rows, width = 5000, 2048
    features = rng.normal(size=num_rows * width).astype(np.float32)
    listed = pa.FixedSizeListArray.from_arrays(pa.array(features), width)
    real = np.arange(num_rows) % 2 == 0
    table = pa.table({"id": np.arange(num_rows).astype(str), "features": listed, "real": real})
    both(["fid"], {}, table, "FID of 2 × 2,500, 2,048 features", 1)


def trial() -> None:
    """What measuring a trial takes at the end of a run: states read, scores, intervals, replicates; processor time."""
    from raybench.metrics import MetricSet, StateSet
    from raybench.metrics.records import classification_records
    from raybench.results.measure import replicates_of

    num_rows, num_classes, num_trials = 600, 5, 20
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, num_classes, (num_rows,), generator=generator)
    names, config = ["accuracy", "macro_f1", "log_loss", "ece"], {"labels": list("abcde")}
    metrics = MetricSet(names, config)
    ids = [f"{number:032x}" for number in range(num_rows)]
    ended = []
    for _ in range(num_trials):
        logits = torch.randn(num_rows, num_classes, generator=generator)
        logits[torch.arange(num_rows), target] += 2
        columns = classification_records(logits, target)
        kept = {name: columns[name] for name in metrics.columns & columns.keys()}
        table = pa.table({"id": ids, "target": target.numpy().astype(np.int32), **kept})
        ended.append((table, metrics.states(table).to_bytes()))

    def measure() -> None:
        metrics = MetricSet(names, config)  # each time another, which has seen none of these trials
        for table, states in ended:
            scorer = metrics.scorer(StateSet.from_bytes(states), lambda table=table: table)
            for name in metrics.names:
                metrics.score(name, scorer)
            replicates_of(metrics, ["accuracy"], scorer)

    show("a trial of 600 rows, four metrics", median(measure, 5, time.process_time) / num_trials)


BENCHMARKS = {
    "trial": trial,
    "intervals": intervals,
    "confusion": confusion,
    "update": small_update,
    "auc": auc,
    "perplexity": perplexity,
    "bleu": bleu,
    "records": fused,
}

if __name__ == "__main__":
    print(f"torch {torch.__version__}, numpy {np.__version__}, {torch.get_num_threads()} threads")
    for chosen in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[chosen]()

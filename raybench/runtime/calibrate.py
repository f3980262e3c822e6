"""How fast this process computes what trials consist of: forward passes and steps of training, at three widths.

    measured = measure_rates(torch.device("cpu"))           # half a minute
    in_bfloat16 = measure_bfloat16()                        # of the CPU, ten seconds

Networks of BERT's kind without weights, 64 texts of 64 tokens a forward pass and 16 a step, AdamW as fits use it.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from transformers import BertConfig, BertModel

from raybench.models.forward_cost import ForwardCost, Rate
from raybench.runtime.training.precision import autocast, compute_dtype

__all__ = ["measure_bfloat16", "measure_rates"]

_SHAPES = ((128, 2, 2), (384, 3, 12), (768, 2, 12))  # hidden, layers, heads
_VOCABULARY = 30_522
_TOKENS, _ROWS, _STEP_ROWS = 64, 64, 16
_SECONDS = 4.0  # of each measurement
_LEAST_RUNS = 3


def measure_rates(device: torch.device) -> tuple[Rate, ...]:
    """Operations a second, the median of several runs, with the threads that torch has in this process."""
    dtype = compute_dtype("auto", device)
    return tuple(_measure(*shape, device, dtype) for shape in _SHAPES)


def measure_bfloat16() -> tuple[Rate, ...]:
    """Of the middle width on the CPU: weights of bfloat16 forward (`dtype: bfloat16`), autocast in training."""
    return (_measure(*_SHAPES[1], torch.device("cpu"), torch.bfloat16),)


def _measure(hidden: int, layers: int, heads: int, device: torch.device, dtype: torch.dtype) -> Rate:
    config = BertConfig(
        vocab_size=_VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BertModel(config, add_pooling_layer=False)
        tokens = torch.randint(_VOCABULARY, (_ROWS, _TOKENS)).to(device)
    torch.nn.Module.to(network, device)
    on_cpu = device.type == "cpu"
    scorer = torch.nn.Module.to(copy.deepcopy(network), dtype) if on_cpu else network
    scorer.eval()
    flops = ForwardCost(layers, hidden, 4 * hidden, _VOCABULARY).flops(_TOKENS)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def forward() -> None:
        with torch.inference_mode(), autocast(torch.float32 if on_cpu else dtype, device):
            scorer(tokens)

    def step() -> None:
        with autocast(dtype, device):
            loss = network(tokens[:_STEP_ROWS]).last_hidden_state.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds_forward = _seconds(forward, device)
    network.train()
    return Rate(
        hidden=hidden,
        forward=flops * _ROWS / seconds_forward,
        train=3 * flops * _STEP_ROWS / _seconds(step, device),
    )


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    """Of a processor on the CPU, so that whatever else the machine does is not measured."""
    run()  # kernels are chosen and memory is taken
    taken: list[float] = []
    while sum(taken) < _SECONDS or len(taken) < _LEAST_RUNS:
        began, began_here = time.perf_counter(), time.process_time()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - began)
        else:
            taken.append((time.process_time() - began_here) / torch.get_num_threads())
    return statistics.median(taken)

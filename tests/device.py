"""Where tests of bits and shards compute: `RAYBENCH_TEST_DEVICE=cuda` holds a GPU to what a CPU promises."""

import os

import pytest
import torch

DEVICE = torch.device(os.environ.get("RAYBENCH_TEST_DEVICE", "cpu"))

on_cpu = pytest.mark.skipif(DEVICE.type != "cpu", reason="of a CPU's last digits")

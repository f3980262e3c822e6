"""What a fit leaves behind: the arrays it trained and JSON about how, as safetensors; never pickle.

data = checkpoint.to_bytes()
Checkpoint.from_bytes(data).arrays["head.weight"]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as safetensors_numpy
from safetensors import safe_open

from raybench.core.identity import bytes_hash

__all__ = ["Checkpoint"]

_META = "raybench"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """`arrays` by name, only what was trained; `meta` is JSON: cost, precision, device, loss."""

    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meta_json(self) -> str:
        """`meta` as it stands beside the arrays."""
        return json.dumps(dict(self.meta), sort_keys=True)

    def to_bytes(self) -> bytes:
        return safetensors_numpy.save(dict(self.arrays), metadata={_META: self.meta_json, "digest": self.digest()})

    def digest(self) -> str:
        """The hash of the arrays: the same fit, the same digest, however long it took."""
        pieces = []
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            pieces += [name.encode(), f"{array.dtype} {array.shape}".encode(), array.tobytes()]
        return bytes_hash(pieces)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        size = int.from_bytes(data[:8], "little")  # safetensors: header length, header JSON, values
        header = json.loads(data[8 : 8 + size])
        return cls(arrays=safetensors_numpy.load(data), meta=json.loads(header["__metadata__"][_META]))

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Read one safetensors file, mapped into memory."""
        with safe_open(str(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return cls(arrays=arrays, meta=json.loads(file.metadata()[_META]))

"""YAML as plain values, with the line of every key and item.

    data, source_map = read_yaml("name: x\nseeds: [0]\n", "jobs/x.yaml")
    source_map.where(("seeds", 0))          # "jobs/x.yaml:2: seeds[0]"

Builds mappings, lists, text, numbers, booleans and null alone: a tag that would build an object is an error, and
so are a key written twice, an anchor that holds itself and a file that its anchors blow up. `1e-4` is a number
here, as in YAML 1.2 and JSON, though YAML 1.1 reads text; a date stays the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from raybench.core.errors import JobError

__all__ = ["Path", "SourceMap", "dotted", "read_yaml"]

Path = tuple[str | int, ...]

_MAX_NODES = 100_000
_TAG = "tag:yaml.org,2002:"
_AS_WRITTEN = ("timestamp", "value")
_PLAIN = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "map", "seq", "merge", *_AS_WRITTEN)}
_EXPONENT = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+")


def dotted(path: Path) -> str:
    """("candidates", 2, "name") as candidates[2].name."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """Where each key and item of a file stands."""

    filename: str
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that is in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def where(self, path: Path) -> str:
        """The file, the line and the dotted path."""
        place = f"{self.filename}:{self.line(path)}"
        return f"{place}: {dotted(path)}" if path else place


def read_yaml(text: str, filename: str) -> tuple[Any, SourceMap]:
    """The file's values and their source_map; JobError for what is not plain YAML."""
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        reader = _Reader(loader, filename)
        node = loader.get_single_node()
        data = None if node is None else reader.value(node, ())
    except yaml.reader.ReaderError as error:
        raise JobError(f"{filename}:1: not text that YAML can hold: {error.reason} at {error.position}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise JobError(f"{filename}:{line}: not YAML: {error.problem or error.context}") from None
    except RecursionError:
        line = loader.get_mark().line + 1 if loader is not None else 1
        raise JobError(f"{filename}:{line}: nested too deep; a job needs six levels") from None
    return data, SourceMap(filename=filename, lines=reader.lines)


class _Reader:
    """Walks a node tree once, building values and noting lines."""

    def __init__(self, loader: yaml.SafeLoader, filename: str) -> None:
        self.loader = loader
        self.filename = filename
        self.lines: dict[Path, int] = {(): 1}
        self.open: list[yaml.Node] = []
        self.flat: set[int] = set()  # mappings an alias brings back, their merge keys already replaced
        self.num_nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.num_nodes += 1
        if self.num_nodes > _MAX_NODES:
            raise self.error(node, path, f"more than {_MAX_NODES:,} values; are anchors nested in anchors?")
        if any(node is outer for outer in self.open):
            raise self.error(node, path, "an anchor that holds itself")
        if node.tag not in _PLAIN:
            tag = node.tag.replace(_TAG, "!!")
            raise self.error(node, path, f"tag {tag} would build an object; write plain values without tags")
        self.lines.setdefault(path, node.start_mark.line + 1)
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            assert isinstance(node, yaml.ScalarNode)
            return self.scalar(node, path)
        finally:
            self.open.pop()

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        written: dict[str, int] = {}
        for key_node, _ in node.value if id(node) not in self.flat else ():
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(key_node, path, "a key must be text")
            key = key_node.value
            if key in written:
                raise self.error(key_node, (*path, key), f"key written twice, first on line {written[key]}")
            written[key] = key_node.start_mark.line + 1
        self.flat.add(id(node))
        self.loader.flatten_mapping(node)  # `<<: *base`; what is written here wins, as it comes last
        values = {}
        for key_node, value_node in node.value:
            key = key_node.value
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*path, key))
        return values

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag.removeprefix(_TAG) in _AS_WRITTEN:
            return node.value
        if node.tag == _TAG + "str" and node.style is None and _EXPONENT.fullmatch(node.value):
            return float(node.value.replace("_", ""))
        try:
            return self.loader.construct_object(node)
        except ValueError as error:  # e.g. `!!int many`
            raise self.error(node, path, f"not a value: {error}") from None

    def error(self, node: yaml.Node, path: Path, message: str) -> JobError:
        place = f"{self.filename}:{node.start_mark.line + 1}"
        return JobError(f"{place}: {dotted(path)}: {message}" if path else f"{place}: {message}")

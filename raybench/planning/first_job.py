"""A job of no more than models and data: what was found in the data, and what to compare, as a commented job file.

    first = first_job(["sentence-transformers/all-MiniLM-L6-v2"], "train.csv")
    first.said                      # what was guessed, in lines
    first.text()                    # YAML
    first.text(fine_tuned=[0])      # the same with the first model fine-tuned too

Reads the data once, to see its columns; opens no model.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from raybench.core.errors import DataError, JobError
from raybench.data.files import format_of
from raybench.data.guess import Guess, guess
from raybench.data.kinds import is_text
from raybench.data.sources import open_source
from raybench.job import DatasetSpec
from raybench.tasks.catalog import get_task

__all__ = ["FirstJob", "first_job", "given_columns", "write_new"]

_AS_IT_IS = frozenset(  # what a checkpoint does without being fitted
    {"multiple-choice", "prompted-classification", "text-generation", "causal-lm", "masked-lm", "sentence-similarity",
     "retrieval"}
)  # fmt: skip
_LENGTHS = (32, 64, 128)  # a start: longer texts are cut
_TOKENS_PER_WORD = 1.4  # of English, in pieces of BERT's vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstJob:
    """What is compared on what; `method` is what each model is tried with first."""

    names: tuple[str, ...]
    models: tuple[str, ...]
    method: str
    dataset: Mapping[str, Any]
    store: str
    said: tuple[str, ...]

    def candidate(self, place: int) -> str:
        """What a model is called where it is tried first."""
        return f"{self.names[place]}-{_SHORT[self.method]}"

    def worth_fine_tuning(self, ranked: Sequence[Mapping[str, Any]]) -> list[int]:
        """Of a ranking's rows, the models that may be the best as they were tried first."""
        best = {row["candidate"] for row in ranked if 1 in (row["rank"], row["rank_low"])}
        places = range(len(self.models)) if self.method != "full" else ()
        return [place for place in places if self.candidate(place) in best]

    def text(self, fine_tuned: Collection[int] = ()) -> str:
        """The job file; the other models' fine-tuning stands in comments."""
        lines = [
            f"name: {_flow(self.dataset['name'])}",
            f"store: {_flow(self.store)}",
            "candidates:",
            "  - baseline: all    # trivial and classic models: what a checkpoint has to beat",
        ]
        for place, (name, model) in enumerate(zip(self.names, self.models, strict=True)):
            tried = {"model": model, "name": self.candidate(place), "method": self.method}
            lines.append(f"  - {_flow(tried)}")
            if self.method != "full":
                hidden = "" if place in fine_tuned else "# "
                lines.append(f"  {hidden}- {_flow({'model': model, 'name': f'{name}-full', 'method': 'full'})}")
        lines += ["datasets:", *(f"  # {line}" for line in self.said), f"  - {_flow(dict(self.dataset))}", ""]
        return "\n".join(lines)


_SHORT = {"none": "as-it-is", "frozen": "frozen", "full": "full"}


def first_job(
    models: Sequence[str],
    data: str,
    *,
    test: str | None = None,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    rows: int = 2000,
    store: str = "./raybench-store",
    output: str | None = None,
) -> FirstJob:
    """`data` is a file, a folder of pictures, a saved dataset or a hub id; `task` and `columns` overrule what is found.

    At most `rows` rows are fitted on, and scored. `output` is the job file to be: paths are relative to where it lies.
    """
    directory = Path(output).absolute().parent if output else Path.cwd()
    source = _source(data, test)
    name = Path(data).stem or "data"
    readers = open_source(DatasetSpec(name=name, task="text-classification", **source), Path.cwd())
    splits: list[str] = [split for split in ("train", "test", "validation") if split in readers] or list(readers)
    first = readers[splits[0]]
    seen = first(set(first(()).column_names)).table
    if not seen.num_rows:
        raise DataError(f"--data {data}: no rows, and no pictures in a folder of their class, are there")
    given = dict(columns or {})
    found = _found(seen, task, given, is_folder=source["source"] == "imagefolder")
    known = [column.name for column in get_task(found.task).columns]
    if unknown := [role for role in given if role not in known]:
        raise DataError(f"--column {unknown[0]}: {found.task} has the columns {', '.join(known)}")
    dataset: dict[str, Any] = {"name": name, **_placed(source, directory), "task": found.task}
    dataset["columns"] = {role: column for role, column in found.columns.items() if role != column}
    said = [f"{found.task}, of {seen.num_rows:,} rows", *found.said]
    sizes = {"train": seen.num_rows} if "test" in readers or test else {"train": seen.num_rows * 4 // 5}
    if "validation" in readers and "test" not in readers:
        dataset["splits"] = {"train": "train", "test": "validation"}
    limit = {split: rows for split in ("train", "test") if sizes["train"] > rows}
    if limit:
        dataset["limit"] = limit
        said.append(f"a start: {rows:,} rows of each split; take limit away for all")
    if texts := [found.columns[role] for role in ("text", "text_pair", "tokens") if role in found.columns]:
        dataset["max_length"] = length = _max_length([seen[name] for name in texts if name in seen.column_names])
        said.append(
            f"max_length {length} tokens: more of long texts costs more time"
            if length == _LENGTHS[-1]
            else f"max_length {length}: what nearly all texts have in tokens"
        )
    dataset = {key: value for key, value in dataset.items() if value != {}}
    objective = get_task(found.task).objective
    method = "frozen" if objective else "none" if found.task in _AS_IT_IS else "full"
    return FirstJob(
        names=_names(models),
        models=tuple(_beside(model, directory) for model in models),
        method=method,
        dataset=dataset,
        store=store,
        said=tuple(said),
    )


def given_columns(pairs: Sequence[str] | None) -> dict[str, str]:
    """{column of the task: column of the source} of `text=review` and the like."""
    found = {}
    for pair in pairs or ():
        role, equals, name = pair.partition("=")
        if not (role and equals and name):
            raise JobError(f"--column {pair}: want COLUMN OF THE TASK=COLUMN OF THE DATA, such as text=review")
        found[role] = name
    return found


def write_new(text: str, path: str | None) -> None:
    """Write a job file that is not there yet, or print it."""
    if path is None:
        print(text, end="")
        return
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise JobError(f"--output {path}: {error.strerror}") from error
    print(f"written to {path}; raybench run {path}")


def _source(data: str, test: str | None) -> dict[str, Any]:
    format = format_of(data) if not Path(data).is_dir() else None
    if format is not None:
        return {"source": format, "data_files": {"train": data, **({"test": test} if test else {})}}
    if test is not None:
        raise DataError(f"--test goes with --data of a file (.csv, .parquet, .json); {data} is none")
    if Path(data).is_dir() and not any(Path(data, name).exists() for name in ("dataset_dict.json", "state.json")):
        return {"source": "imagefolder", "data_files": {"train": data}}
    return {"source": data}


def _found(rows: pa.Table, task: str | None, columns: dict[str, str], *, is_folder: bool) -> Guess:
    if is_folder:
        return Guess(task=task or "image-classification", columns={})
    if task is None:
        return guess(rows, columns=columns)
    known = {column.name for column in get_task(task).columns}
    try:
        found = guess(rows, columns=columns)
    except DataError:
        found = Guess(task=task, columns={})  # its columns have their own names, or are given
    fitting = {role: name for role, name in found.columns.items() if role in known}
    return Guess(task=task, columns=fitting | columns, said=found.said if found.task == task else ())


def _placed(source: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The source with its paths as seen from where the job file lies."""
    if "data_files" in source:
        return {
            **source,
            "data_files": {split: _beside(path, directory) for split, path in source["data_files"].items()},
        }
    return {"source": _beside(source["source"], directory)}


def _beside(path: str, directory: Path) -> str:
    if "://" in path or Path(path).is_absolute() or not Path(path).exists():
        return path
    relative = os.path.relpath(path, directory)
    return relative if relative.startswith(".") else f"./{relative}"


def _names(models: Sequence[str]) -> tuple[str, ...]:
    """The last part of each reference, told apart where two are equal."""
    names: list[str] = []
    for model in models:
        name = model.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return tuple(names)


def _max_length(texts: Sequence[pa.ChunkedArray]) -> int:
    """The least of some lengths that holds 95 % of the rows, all their texts together, or the greatest."""
    words: Any = 0
    for column in texts:
        counts = pc.add(pc.count_substring(column, " "), 1) if is_text(column.type) else pc.list_value_length(column)
        words = pc.add(words, counts)
    most = pc.quantile(words, q=0.95)[0].as_py() or 0
    return next((length for length in _LENGTHS if most * _TOKENS_PER_WORD + 2 <= length), _LENGTHS[-1])


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()

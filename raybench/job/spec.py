"""The job file's words as frozen pydantic models: what may be written, with the meaning of each key.

A `Job` has `CandidateSpec`s and `DatasetSpec`s; `candidate.expand()` gives what is to be trained. Paths come out of
`load_job` resolved: inputs against the job file's directory, the store against the directory of the user, where
output is expected. Does not look at models, data or methods.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from raybench.core import ModelSpec
from raybench.core.errors import RaybenchError
from raybench.core.identity import canonical_json
from raybench.core.suggestion import did_you_mean
from raybench.job.limits import Limit
from raybench.job.perturbations import read_perturb
from raybench.job.resources import BudgetSpec, HalvingSpec, PriceSpec, RaceSpec, Resources
from raybench.job.short_forms import (
    FILES_BY_SPLIT,
    LIST_OF_TEXTS,
    METRIC_OR_WEIGHTS,
    NAME_OR_MAPPING,
    PERTURBATIONS_WANTED,
    read_criterion,
    read_files,
    read_limits,
    read_method,
)
from raybench.job.source_map import Path, SourceMap
from raybench.job.spec_base import Count, Name, Spec

__all__ = [
    "ALL_BASELINES",
    "BASELINE_METHOD",
    "CUT",
    "FILE_FORMATS",
    "CandidateSpec",
    "Configuration",
    "DatasetSpec",
    "Job",
    "LimitSpec",
    "MethodSpec",
    "SplitsSpec",
    "first_repeated",
]

BASELINE_METHOD = "baseline"
ALL_BASELINES = "all"
CUT = "cut"  # in the place of a split's name: a part of train
FILE_FORMATS = ("parquet", "csv", "json", "imagefolder", "audiofolder")  # sources that want data_files

Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(strict=False, min_length=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]


class MethodSpec(Spec):
    """A method and its hyperparameters; the method's own file says which there are."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, protected_namespaces=())

    name: Name = Field(description="none, full, frozen, … or module:attribute of your own")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Configuration(NamedTuple):
    """One thing to train and score on every dataset with every seed."""

    model: ModelSpec
    method: str
    hyperparameters: dict[str, Any]


def first_repeated(values: Sequence[Any]) -> int | None:
    """Where the first value stands that has stood before."""
    seen: set[Any] = set()
    for index, value in enumerate(values):
        key = canonical_json(value) if isinstance(value, (list, dict)) else value
        if key in seen:
            return index
        seen.add(key)
    return None


class CandidateSpec(Spec):
    """A model or a baseline, how it is adapted, and the grid of hyperparameters to try."""

    name: Name = Field(default="", description="shown in every table; the last part of the reference when not given")
    model: str | None = Field(
        default=None,
        description="a hub id, a directory, a glob of checkpoints, pkg:<import name>/<path> or arch:<model type>",
        min_length=1,
    )
    baseline: str | None = Field(
        default=None,
        description="majority, tfidf-logistic, …, or all: on each dataset those that do its task",
        min_length=1,
    )
    images: str | None = Field(
        default=None,
        description="pictures to compare with real ones: a folder, a glob of files or of folders, or module:attribute",
        min_length=1,
    )
    revision: str | None = Field(default=None, description="the hub's commit, tag or branch to pin")
    init: Literal["pretrained", "scratch"] = Field(
        default="pretrained", description="scratch: the architecture with random weights"
    )
    num_layers: int | None = Field(default=None, ge=1, description="keep the first k layers")
    tokenizer: str | None = Field(default=None, description="where the tokenizer is, when not with the model")
    config: dict[str, Any] = Field(default_factory=dict, description="overrides of the model's configuration")
    pooling: Literal["auto", "mean", "cls", "max", "last", "static"] = Field(
        default="auto", description="how tokens become one vector; static: the word embeddings alone"
    )
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = Field(
        default="float32", description="of the weights; int8: dynamic quantisation, for scoring alone"
    )
    compile: bool = Field(default=False, description="torch.compile the network for scoring")
    allow_pickle: bool = Field(default=False, description="open pickle weights, which can run any code they hold")
    method: Annotated[MethodSpec, BeforeValidator(read_method), NAME_OR_MAPPING] = Field(
        default=MethodSpec(name="none"),
        description="none (scored as it is), full, frozen, …; {name: …, hyperparameter: …} to set hyperparameters",
    )
    grid: dict[str, Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]] = Field(
        default_factory=dict, description="{hyperparameter: [values]}; every combination is a configuration"
    )
    seeds: Seeds | None = Field(default=None, description="instead of the job's seeds")

    _path: Path = PrivateAttr(default=())  # where it stands in the file; a glob's checkpoints share a place
    _where_it_fits: bool = PrivateAttr(default=False)  # left out, without a word, where it does not do the task

    @model_validator(mode="after")
    def _consistent(self) -> CandidateSpec:
        named = [name for name in ("model", "baseline", "images") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(
                "want exactly one of model, baseline and images" + (f", got {len(named)}" if named else "")
            )
        if self.model is None:
            of_models = {"revision", "init", "num_layers", "tokenizer", "config", "pooling", "dtype"}
            of_models |= {"compile", "allow_pickle"}
            what = "a baseline has" if self.baseline is not None else "images have"
            if idle := sorted(of_models & self.model_fields_set):
                raise ValueError(f"{what} no {idle[0]}")
            own = BASELINE_METHOD if self.baseline is not None else "none"
            if "method" in self.model_fields_set and self.method.name != own:
                raise ValueError(f"{what} no method {self.method.name}; leave method out")
        for key, values in self.grid.items():
            if key in self.method.hyperparameters:
                raise ValueError(f"{key} is set both in method and in grid")
            if (twice := first_repeated(values)) is not None:
                raise ValueError(f"grid.{key} holds {values[twice]} twice")
        return self

    @property
    def num_configurations(self) -> int:
        """The size of the grid's product, which may be too large to expand."""
        return math.prod(len(values) for values in self.grid.values())

    def expand(self) -> tuple[Configuration, ...]:
        """The grid's product, in the order in which it is written."""
        made = f"images:{self.images}" if self.images is not None else f"baseline:{self.baseline}"
        model = ModelSpec(
            reference=self.model if self.model is not None else made,
            revision=self.revision,
            init=self.init,
            num_layers=self.num_layers,
            tokenizer=self.tokenizer,
            config=self.config,
            pooling=self.pooling,
            dtype=self.dtype,
            compile=self.compile,
            allow_pickle=self.allow_pickle,
        )
        method = self.method.name if self.baseline is None else BASELINE_METHOD
        fixed = self.method.hyperparameters
        combinations = itertools.product(*self.grid.values())
        return tuple(
            Configuration(model, method, fixed | dict(zip(self.grid, values, strict=True))) for values in combinations
        )


class SplitsSpec(Spec):
    """Which of the source's splits serve for what."""

    train: str | None = Field(default=None, description="fitted on; may be missing where nothing is fitted")
    test: str | None = Field(default=None, description="scored; when missing, a fifth of train is cut off by content")
    validation: str | None = Field(
        default=None,
        description="chooses: among a candidate's configurations, and when to stop fitting; cut: a fifth, by content",
    )

    @property
    def named(self) -> dict[str, str]:
        """{role: the source's split}, as far as the job says."""
        given = {role: name for role in ("train", "test", "validation") if (name := getattr(self, role)) is not None}
        return {role: name for role, name in given.items() if (role, name) != ("validation", CUT)}


class LimitSpec(Spec):
    """How many rows of a split are used: the first in an order made from content, so 100 lie within 300."""

    train: Count | None = Field(default=None, description="rows to fit on")
    test: Count | None = Field(default=None, description="rows to score")
    validation: Count | None = Field(default=None, description="rows to choose by")


class DatasetSpec(Spec):
    """Where rows come from, what is asked about them, and which columns and splits are used."""

    name: Name = Field(default="", description="shown in every table; the last part of the source when not given")
    source: str = Field(
        default="",
        description="a hub id; parquet, csv, json, imagefolder, audiofolder with data_files; a file; a saved dataset's "
        "directory; module:function or file.py:function",
        min_length=1,
    )
    like: str | None = Field(
        default=None,
        description="the name of another dataset: its task and its training rows, with test rows of a source of one's "
        "own, or perturbed",
        min_length=1,
    )
    perturb: Annotated[dict[str, float] | None, BeforeValidator(read_perturb), PERTURBATIONS_WANTED] = Field(
        default=None,
        description="what is done to the test rows of the dataset that it is like: [typos, case], {blur: 0.1}",
    )
    config: str | None = Field(default=None, description="the hub set's configuration, such as sst2")
    revision: str | None = Field(default=None, description="the hub's commit, tag or branch to pin")
    data_files: Annotated[
        dict[str, Annotated[tuple[str, ...], Field(strict=False, min_length=1)]] | None,
        BeforeValidator(read_files),
        FILES_BY_SPLIT,
    ] = Field(default=None, description="{split: path, glob or list of them}, relative to the job file")
    task: Name = Field(
        default="", description="text-classification, image-classification, … or module:attribute of your own"
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="{column of the task: column of the source}; equal names need no entry"
    )
    splits: SplitsSpec = Field(default=SplitsSpec(), description="{train, test, validation: a split of the source}")
    limit: LimitSpec = Field(default=LimitSpec(), description="{train, test, validation: rows to use at most}")
    max_length: Count = Field(default=128, description="tokens kept of a row")
    task_config: dict[str, Any] = Field(default_factory=dict, description="options of the task and its metrics")
    skip_broken: str = Field(
        default="0%",
        pattern=r"^\d{1,2}(\.\d+)?%$",
        description="up to so many of a split's pictures or sounds that cannot be decoded are left out, such as 1%",
    )
    slices: Names = Field(
        default=(), description="columns of the source, or length; every value of each is scored on its own too"
    )
    private: bool = Field(default=False, description="its rows are shown in no report and by no command")

    _path: Path = PrivateAttr(default=())
    _original: DatasetSpec | None = PrivateAttr(default=None)  # what it is like, whole

    @property
    def original(self) -> DatasetSpec | None:
        """The dataset that it is like."""
        return self._original

    @property
    def broken_share(self) -> float:
        """`skip_broken` as a share, from 0."""
        return float(self.skip_broken.removesuffix("%")) / 100

    @model_validator(mode="after")
    def _consistent(self) -> DatasetSpec:
        for key in ("source", "task") if self.like is None else ():
            if not getattr(self, key):
                raise ValueError(f"{key} is missing: {DatasetSpec.model_fields[key].description}")
        if self.like is None and self.perturb:
            raise ValueError("perturb wants like: the name of the dataset whose test rows are perturbed")
        if self.like is not None and not self.source and not self.perturb:
            raise ValueError("like wants test rows that are others: perturb, or a source of its own")
        if self.source in FILE_FORMATS and not self.data_files:
            raise ValueError(f"source {self.source} wants data_files: {{train: path, test: path}}")
        named = self.splits.named
        roles = LimitSpec.model_fields
        for split in self.data_files or ():
            if split not in named.values() and (named or split not in roles):
                known = did_you_mean(split, [role for role in roles if role not in named])
                raise ValueError(f"data_files.{split}: no such split is read{known}; or say splits: {{test: {split}}}")
        return self


class Job(Spec):
    """Which candidates to fine-tune, score and rank on which datasets."""

    name: Name = Field(description="of the job, shown in reports")
    tags: Names = Field(default=(), description="words to find its runs by: `raybench runs --tag nightly`")
    store: str = Field(
        default="./raybench-store",
        description="directory (relative to where raybench is called) or URL such as s3://bucket/prefix",
        min_length=1,
    )
    candidates: Annotated[tuple[CandidateSpec, ...], Field(strict=False, min_length=1)] = Field(
        description="what is compared"
    )
    datasets: Annotated[tuple[DatasetSpec, ...], Field(strict=False, min_length=1)] = Field(
        description="what it is compared on"
    )
    seeds: Seeds = Field(default=(0,), description="every configuration is fitted once a seed")
    metrics: Names = Field(default=(), description="what is measured; the task's own metrics when empty")
    rank_by: Annotated[Name | None, BeforeValidator(read_criterion), METRIC_OR_WEIGHTS] = Field(
        default=None,
        description="the metric that ranks all datasets, or several by weights, {macro_f1: 2, ece: 1}: by the weighted "
        "mean of a candidate's ranks; when not given, each dataset is ranked by its task's primary",
    )
    limits: Annotated[tuple[Limit, ...], BeforeValidator(read_limits), LIST_OF_TEXTS] = Field(
        default=(), description="what is ranked: latency_p95_ms <= 20, params_total <= 1e8, recall >= 0.9, …"
    )
    race: RaceSpec | None = Field(
        default=None,
        description="stop scoring what is surely worse: {alpha: 0.05, keep: 1}; by one metric",
    )
    halving: HalvingSpec | None = Field(
        default=None,
        description="fit on the best of a grid alone: {eta: 3, rungs: [1, 3]}; wants validation rows",
    )
    resources: Resources = Field(default=Resources(), description="workers, CPUs, GPUs, time limits")
    budget: BudgetSpec | None = Field(
        default=None, description="{hours: 8}: the most valuable trials first, the others end as stopped"
    )
    prices: PriceSpec | None = Field(
        default=None, description="what an hour costs, for plan: {actor: 0.5} or {cpu: 0.05, gpu: 2.1}"
    )
    notify: str | None = Field(
        default=None,
        min_length=1,
        description="who is told how a run ended: https://… gets JSON, module:function beside the job is called; "
        "$NAME is taken from the environment",
    )

    _source_map: SourceMap = PrivateAttr(default=SourceMap(filename="<job>", lines={}))
    _text: str = PrivateAttr(default="")
    _directory: FilePath = PrivateAttr(default_factory=FilePath.cwd)

    @property
    def directory(self) -> FilePath:
        """Where the job file is: what its relative paths start from."""
        return self._directory

    @property
    def text(self) -> str:
        """The file as it was written."""
        return self._text

    def where(self, spec: CandidateSpec | DatasetSpec | None = None, key: Path = ()) -> str:
        """`jobs/x.yaml:12: candidates[2].name`, for the start of an error line."""
        return self._source_map.where((*(spec._path if spec is not None else ()), *key))

    def placed(self, error: RaybenchError, spec: CandidateSpec | DatasetSpec) -> RaybenchError:
        """The same error of one of the job's parts, its line beginning with the place in the file."""
        return type(error)(f"{self.where(spec, error.key)}: {error}", key=error.key)

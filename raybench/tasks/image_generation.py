"""image-generation: how near made pictures come to real ones, as a named network of pictures sees both.

The examples are the test split's pictures and as many places for made ones, the same for every candidate: its files,
what its function gives, or what a baseline makes fill them. Shapes: B pictures, H features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError, ModelError
from raybench.core.identity import content_hash
from raybench.core.large_columns import gather_table
from raybench.core.pictures import ENCODED, image_array
from raybench.models.configuration import classifies_pictures, open_config
from raybench.models.fingerprint import weights_fingerprint
from raybench.models.pictures import made_files, made_pictures, pictures_fingerprint
from raybench.tasks.augmentation import AugmentOptions
from raybench.tasks.image_inputs import ImageExamples, image_format, model_images
from raybench.tasks.rows import key_column
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.feature_network import FeatureNetwork
    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["ImageGeneration", "ImageGenerationOptions", "Seen", "see", "shown", "with_made"]


class ImageGenerationOptions(TaskOptions):
    """By what network pictures are compared.

    Its classifier's last layer tells the features and its classes the Inception score. Figures by different networks
    are different figures.
    """

    feature_network: str | None = Field(
        default=None, description="the model that pictures are compared by: any reference of one that reads pictures"
    )


class Seen(NamedTuple):
    """What the network makes of pictures: features float32 [B, H], probabilities float64 [B, C] or None."""

    features: np.ndarray
    probabilities: np.ndarray | None


class ImageGeneration(Task):
    """Nothing is fitted and no model is opened but the one that looks."""

    name = "image-generation"
    columns = (Column("image", "image", fixed=True),)
    metrics = ("fid", "kid", "inception_score")
    primary = "fid"
    options = ImageGenerationOptions

    @property
    def network_spec(self) -> ModelSpec:
        """The network that looks; DataError where the dataset names none."""
        if self.settings.feature_network is None:
            raise DataError(
                "pictures are compared by a network that looks at them: task_config: {feature_network: a model of "
                "pictures, such as google/vit-base-patch16-224 or a checkpoint's directory}",
                key=("task_config",),
            )
        return ModelSpec(reference=self.settings.feature_network)

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        fields = {"id": pa.string(), "real": pa.bool_(), "seen_by": pa.string()}
        return pa.schema({**fields, "features": pa.list_(pa.float32()), "probabilities": pa.list_(pa.float64())})

    def default_metrics(self, labels: Sequence[str], statistics: Mapping[str, float]) -> tuple[str, ...]:
        return self.metrics if classifies_pictures(self.network_spec) else ("fid", "kid")

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        spec = self.network_spec
        try:
            config = open_config(spec)
            if not hasattr(config, "num_channels"):
                raise IncompatibleError(f"model {spec.reference!r}: {config.model_type} reads no pictures")
            told = f"as {seen_by(spec)} sees them"
        except ModelError as error:
            raise DataError(str(error), key=("task_config", "feature_network")) from error
        count = splits["test"].num_rows
        classes = "" if classifies_pictures(spec) else "; it has no classes, so there is no Inception score"
        return (f"{count} made pictures against {count} real ones, {told}{classes}",)

    def opened(self) -> dict[str, str]:
        return {"feature_network": weights_fingerprint(self.network_spec)}

    def scored_rows(self, test: pa.Table) -> pa.Table:
        count = test.num_rows
        digits = len(str(count))
        places = {
            "id": pa.array([f"made-{place:0{digits}}" for place in range(count)]),
            "image": pa.nulls(count, test.schema.field("image").type),
            "place": pa.array(np.arange(count, dtype=np.int32)),
        }
        kept = {name: places.get(name, pa.array([""] * count)) for name in test.column_names}  # others are slices
        real = test.append_column("place", pa.array(np.full(count, -1, dtype=np.int32)))
        return pa.concat_tables([real, pa.table({**kept, "place": places["place"]}).cast(real.schema)])

    def processor_key(self, model: ModelSpec) -> str:
        if model.images is None:
            return "rows"
        wanted = image_format(self.network_spec)
        seen = [wanted.size, wanted.channels, wanted.patch, wanted.saved]
        return f"images:{content_hash([seen, pictures_fingerprint(model), model.reference])}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.images is None:
            names = (name.encode() for name in rows.column("id").to_pylist())
            ones = pa.array(np.ones(rows.num_rows, dtype=np.int32))
            return rows.append_column("length", ones).append_column("key", key_column(names))
        if "place" not in rows.column_names:  # nothing is learned from others
            rows = self.scored_rows(rows.slice(0, 0))
        places = rows.column("place").to_numpy()
        pictures = made_pictures(model, int(places.max()) + 1) if len(places) else []
        try:
            made = _columns([pictures[place] for place in places[places >= 0]])
        except DataError as error:
            raise ModelError(f"images: {error}") from error
        return with_made(rows, made, self.network_spec)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return shown(prepared, self.network_spec)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        raise IncompatibleError(
            f"model {model.reference!r}: here pictures are compared: images: a folder, a glob or module:attribute"
        )

    def check_images(self, model: ModelSpec) -> None:
        made_files(model)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        return

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.feature_network import open_feature_network

        return open_feature_network(self.network_spec)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        raise IncompatibleError("image-generation: nothing is fitted")

    def predict(self, network: Any, batch: Batch) -> Seen:
        return see(cast("FeatureNetwork", network), batch)

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        seen: Seen = predictions
        real = rows.column("place").to_numpy() < 0
        empty = np.zeros((len(real), 0))
        told = empty if seen.probabilities is None else seen.probabilities
        return pa.table(
            {
                "id": rows.column("id").combine_chunks(),
                "real": real,
                "seen_by": pa.array([seen_by(self.network_spec)] * len(real), pa.string()),
                "features": _lists(seen.features.astype(np.float32), np.ones(len(real), dtype=bool)),
                "probabilities": _lists(told.astype(np.float64), ~real),
            }
        )


def seen_by(network: ModelSpec) -> str:
    """The name of the network that looks, wherever it lies, and the beginning of its weights' fingerprint."""
    name = Path(network.reference).name if Path(network.reference).is_absolute() else network.reference
    return f"{name} ({weights_fingerprint(network)[:12]})"


def see(network: FeatureNetwork, batch: Batch) -> Seen:
    """What a network makes of a batch's pictures."""
    features_BH, logits_BC = network.both(batch.inputs)
    told = None if logits_BC is None else logits_BC.double().softmax(dim=1).cpu().numpy()
    return Seen(features_BH.cpu().numpy(), told)


def _lists(values: np.ndarray, kept: np.ndarray) -> pa.Array:
    """Rows of [B, K] as lists; of rows that are not kept empty ones."""
    offsets = np.concatenate([[0], np.cumsum(kept * values.shape[1])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[kept].reshape(-1)))


def with_made(rows: pa.Table, made: pa.Array, network: ModelSpec) -> pa.Table:
    """Rows with the real pictures and, in the places for made ones, those of `made`, as the network reads them."""
    is_made = rows.column("place").to_numpy() >= 0
    column = rows.column_names.index("image")
    real_rows, made_rows = rows.filter(pa.array(~is_made)), rows.filter(pa.array(is_made))
    made_rows = made_rows.set_column(column, "image", made)
    try:
        seen = model_images(made_rows, network)
    except DataError as error:
        raise ModelError(f"images: {error}") from error
    if real_rows.num_rows:
        real = model_images(real_rows, network)
        if real.schema != seen.schema:
            told = "the real or the made ones are more than a GiB of pixels as the network reads them"
            raise ModelError(f"images: {told}; want as many of both, as files, or a limit")
        seen = pa.concat_tables([real, seen])
    return gather_table(seen, np.argsort(np.argsort(is_made, kind="stable"), kind="stable"))


def shown(prepared: pa.Table, network: ModelSpec) -> ImageExamples:
    """Prepared pictures as the network's inputs."""
    return ImageExamples(prepared, network, np.zeros(prepared.num_rows, dtype=np.int32), AugmentOptions())


def _columns(pictures: Sequence[tuple[str, Any]]) -> pa.Array:
    """Made pictures with their names, encoded files or uint8 [H, W] or [H, W, C], as `core.pictures` has them."""
    if all(isinstance(picture, bytes) for _, picture in pictures):
        return pa.array([{"path": name, "bytes": picture} for name, picture in pictures], ENCODED)
    columns = []
    for name, picture in pictures:
        try:
            columns.append(image_array(picture[None]))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return pa.concat_arrays(columns)

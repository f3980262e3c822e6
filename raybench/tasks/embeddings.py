"""Tasks that ask a model for embeddings of texts, in the checkpoint's own pooling, and compare those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch
from raybench.models.saved_embeddings import check_embeddings
from raybench.tasks.task import Task
from raybench.tasks.text import refuse_without_vocabulary, tokens_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PretrainedConfig

    from raybench.models.network import Network

__all__ = ["EmbeddingTask"]


class EmbeddingTask(Task):
    """Cosines of embeddings; no head of any labels."""

    def processor_key(self, model: ModelSpec) -> str:
        return tokens_key(model)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_vocabulary(model, config, self.name)
        check_embeddings(model)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        if from_scratch(model):
            raise IncompatibleError(f"model {model.reference!r}: random weights have nothing to score as it is")

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone
        from raybench.models.embedding import EmbeddingNetwork
        from raybench.models.pooling import pooling_of

        return EmbeddingNetwork(open_backbone(model, seed), pooling_of(model))

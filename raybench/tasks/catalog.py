"""The tasks by name; the user's own are `module:attribute`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raybench.core import DatasetKey
from raybench.core.catalog import make_entry
from raybench.tasks.task import Task

__all__ = ["TASKS", "get_task", "task_of"]

TASKS = {
    "text-classification": "raybench.tasks.text_classification:TextClassification",
    "image-classification": "raybench.tasks.image_classification:ImageClassification",
    "multilabel-text-classification": "raybench.tasks.text_multilabel:TextMultilabelClassification",
    "multilabel-image-classification": "raybench.tasks.image_multilabel:ImageMultilabelClassification",
    "token-classification": "raybench.tasks.token_classification:TokenClassification",
    "question-answering": "raybench.tasks.question_answering:QuestionAnswering",
    "tabular-classification": "raybench.tasks.tabular_classification:TabularClassification",
    "tabular-regression": "raybench.tasks.tabular_regression:TabularRegression",
    "text-regression": "raybench.tasks.text_regression:TextRegression",
    "text-generation": "raybench.tasks.text_generation:TextGeneration",
    "retrieval": "raybench.tasks.retrieval:Retrieval",
    "recommendation": "raybench.tasks.recommendation:Recommendation",
    "sentence-similarity": "raybench.tasks.sentence_similarity:SentenceSimilarity",
    "object-detection": "raybench.tasks.object_detection:ObjectDetection",
    "semantic-segmentation": "raybench.tasks.semantic_segmentation:SemanticSegmentation",
    "image-generation": "raybench.tasks.image_generation:ImageGeneration",
    "image-regression": "raybench.tasks.image_regression:ImageRegression",
    "causal-lm": "raybench.tasks.causal_lm:CausalLM",
    "multiple-choice": "raybench.tasks.multiple_choice:MultipleChoice",
    "masked-lm": "raybench.tasks.masked_lm:MaskedLM",
    "prompted-classification": "raybench.tasks.prompted_classification:PromptedClassification",
    "audio-classification": "raybench.tasks.audio_classification:AudioClassification",
    "speech-recognition": "raybench.tasks.speech_recognition:SpeechRecognition",
}


def get_task(name: str, config: Mapping[str, Any] | None = None) -> Task:
    """The task of this name with a dataset's options; JobError when there is none, or for an option that cannot be."""
    task: Task = make_entry("task", name, TASKS, Task)
    return type(task)(config) if config else task


def task_of(dataset: DatasetKey) -> Task:
    """The task that is asked of a dataset, with its options."""
    return get_task(dataset.task, dataset.task_config)

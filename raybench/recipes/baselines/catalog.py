"""The baselines by name; the user's own are `module:attribute`."""

from __future__ import annotations

from raybench.core.catalog import make_entry
from raybench.recipes.baselines.baseline import Baseline

__all__ = ["BASELINES", "get_baseline"]

BASELINES = {
    "majority": "raybench.recipes.baselines.majority:Majority",
    "frequency": "raybench.recipes.baselines.frequency:Frequency",
    "mean": "raybench.recipes.baselines.mean:Mean",
    "tfidf-logistic": "raybench.recipes.baselines.linear_baselines:TfidfLogistic",
    "tfidf-one-vs-rest": "raybench.recipes.baselines.linear_baselines:TfidfOneVsRest",
    "tfidf-ridge": "raybench.recipes.baselines.linear_baselines:TfidfRidge",
    "most-frequent-tag": "raybench.recipes.baselines.most_frequent_tag:MostFrequentTag",
    "token-logistic": "raybench.recipes.baselines.token_logistic:TokenLogistic",
    "best-sentence": "raybench.recipes.baselines.best_sentence:BestSentence",
    "answer-pattern": "raybench.recipes.baselines.answer_pattern:AnswerPattern",
    "tfidf-cosine": "raybench.recipes.baselines.tfidf_cosine:TfidfCosine",
    "word-overlap": "raybench.recipes.baselines.word_overlap:WordOverlap",
    "bm25": "raybench.recipes.baselines.bm25:BM25",
    "tfidf-search": "raybench.recipes.baselines.tfidf_search:TfidfSearch",
    "popularity": "raybench.recipes.baselines.popularity:Popularity",
    "item-neighbors": "raybench.recipes.baselines.item_neighbors:ItemNeighbors",
    "als": "raybench.recipes.baselines.als:ALS",
    "pixel-noise": "raybench.recipes.baselines.made_images:PixelNoise",
    "training-images": "raybench.recipes.baselines.made_images:TrainingImages",
    "blurred-images": "raybench.recipes.baselines.made_images:BlurredImages",
    "copy-source": "raybench.recipes.baselines.copy_source:CopySource",
    "translation-memory": "raybench.recipes.baselines.translation_memory:TranslationMemory",
    "dictionary": "raybench.recipes.baselines.dictionary:Dictionary",
    "pixels-logistic": "raybench.recipes.baselines.linear_baselines:PixelsLogistic",
    "pixels-one-vs-rest": "raybench.recipes.baselines.linear_baselines:PixelsOneVsRest",
    "pixels-ridge": "raybench.recipes.baselines.linear_baselines:PixelsRidge",
    "mel-logistic": "raybench.recipes.baselines.linear_baselines:MelLogistic",
    "frequent-transcript": "raybench.recipes.baselines.transcripts:FrequentTranscript",
    "nearest-clip": "raybench.recipes.baselines.transcripts:NearestClip",
    "mean-boxes": "raybench.recipes.baselines.boxes:MeanBoxes",
    "majority-pixel": "raybench.recipes.baselines.pixels:MajorityPixel",
    "pixel-logistic": "raybench.recipes.baselines.pixels:PixelLogistic",
    "colour-boosting": "raybench.recipes.baselines.colours:ColourBoosting",
    "tabular-linear": "raybench.recipes.baselines.on_records:LinearRecords",
    "random-forest": "raybench.recipes.baselines.on_records:RandomForestRecords",
    "gradient-boosting": "raybench.recipes.baselines.on_records:GradientBoostedRecords",
    "majority-choice": "raybench.recipes.baselines.choices:MajorityChoice",
    "longest-choice": "raybench.recipes.baselines.choices:LongestChoice",
    "similar-choice": "raybench.recipes.baselines.choices:SimilarChoice",
    "unigram": "raybench.recipes.baselines.byte_ngrams:Unigram",
    "interpolated-ngram": "raybench.recipes.baselines.byte_ngrams:InterpolatedNgram",
}


def get_baseline(name: str) -> Baseline:
    """The baseline of this name; JobError when there is none."""
    baseline: Baseline = make_entry("baseline", name, BASELINES, Baseline)
    return baseline

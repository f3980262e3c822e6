"""Real data that ordinary packages hold, for jobs and tests; no text or picture of theirs is copied.

    bbc_news()                    # {"train": pa.Table, "test": pa.Table} with text and label
    bbc_mixtures()                # the same with text and labels, made from bbc_news
    brown_tags()                  # the same with tokens and tags
    brown_texts()                 # the same with text
    digits()                      # the same with image and label
    digit_boxes()                 # the same with image and objects, made from digits
    digit_scenes()                # the same with image, labels and value, made from digits
    debian_dependencies("/path")  # one table with user, item and text
    movielens_100k()              # one table with user, item, rating, timestamp and text
    land_and_sea()                # the same with image and mask
    flights()                     # the same with numbers and categories, late and air_time
    spam_assassin("/path")        # one table with text and label
    word_valence()                # the same with text and value
    wordnet_similarity("/path")   # the same with text, text_pair and value
    wordnet_supersenses("/path")  # the same with text and label
    wordnet_search("/path")       # the same with query and document
    wordnet_choices("/path")      # the same with question, choices and label
    wordnet_questions("/path")    # the same with question, context and answers
    word_pronunciations()         # the same with source and target
    telephone_prompts("/path")    # the same with audio and text
    telephone_languages("/path")  # the same with audio and label

What no Python package holds is fetched by the user's own client, and a dataset's `config` says where it lies.
"""

from raybench.data.packaged.bbc_news import bbc_news
from raybench.data.packaged.brown import brown_sentences, brown_tags, brown_texts
from raybench.data.packaged.dependencies import debian_dependencies
from raybench.data.packaged.digits import digits
from raybench.data.packaged.flights import flights
from raybench.data.packaged.land import land_and_sea
from raybench.data.packaged.made import bbc_mixtures, digit_boxes, digit_scenes
from raybench.data.packaged.movielens import movielens_100k
from raybench.data.packaged.pronunciations import word_pronunciations
from raybench.data.packaged.spam_assassin import spam_assassin
from raybench.data.packaged.telephone import telephone_languages, telephone_prompts
from raybench.data.packaged.word_valence import word_valence
from raybench.data.packaged.wordnet import (
    wordnet_choices,
    wordnet_search,
    wordnet_similarity,
    wordnet_supersenses,
)
from raybench.data.packaged.wordnet_questions import wordnet_questions

__all__ = [
    "bbc_mixtures",
    "bbc_news",
    "brown_sentences",
    "brown_tags",
    "brown_texts",
    "debian_dependencies",
    "digit_boxes",
    "digit_scenes",
    "digits",
    "flights",
    "land_and_sea",
    "movielens_100k",
    "spam_assassin",
    "telephone_languages",
    "telephone_prompts",
    "word_pronunciations",
    "word_valence",
    "wordnet_choices",
    "wordnet_questions",
    "wordnet_search",
    "wordnet_similarity",
    "wordnet_supersenses",
]

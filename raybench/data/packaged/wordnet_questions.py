"""Questions whose answers are definitions in a passage."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.data.packaged.wordnet import in_test, nouns

__all__ = ["wordnet_questions"]

_DEFINITIONS = 4  # in a passage
_UNANSWERED = 0.2


def wordnet_questions(root: str = "/", num_questions: int = 3000) -> dict[str, pa.Table]:
    """Four definitions of WordNet in a row and "What does … mean?": columns question, context and answers, as SQuAD's.

    Made from real definitions, no questions of people; for a fifth of them the passage has no answer. A passage is in
    the test split where the hash of its first noun says so, and its other nouns are of that split too.
    """
    table = nouns(root)
    draw = np.random.default_rng(0)
    sides = {test: [name for name in table if in_test(name) is test] for test in (False, True)}
    rows: dict[str, dict[str, list[object]]] = {
        split: {"question": [], "context": [], "answers": []} for split in ("train", "test")
    }
    for name in draw.choice(sorted(table), num_questions, replace=False).tolist():
        side = sides[in_test(name)]
        others = [side[place] for place in draw.integers(len(side), size=_DEFINITIONS).tolist()]
        asked, shown = table[name], [name, *others[1:]]
        if draw.random() < _UNANSWERED or any(asked.words[0] in table[other].words for other in shown[1:]):
            shown[0] = others[0]
        told = [shown[place] for place in draw.permutation(_DEFINITIONS).tolist()]
        context = ""
        answers: dict[str, list[object]] = {"text": [], "answer_start": []}
        for one in told:
            context += f"{table[one].words[0]}: "
            if one == name:
                answers = {"text": [asked.gloss], "answer_start": [len(context)]}
            context += f"{table[one].gloss}. "
        split = rows["test" if in_test(name) else "train"]
        split["question"].append(f"What does {asked.words[0]} mean?")
        split["context"].append(context.rstrip())
        split["answers"].append(answers)
    return {split: pa.table(columns) for split, columns in rows.items()}

"""Many questions to one recommender: in batches, each answered as it would be alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.recommenders import G2Rec, history_batch

_ROWS = 512
"""Questions in a batch, at most."""
_CELLS = 1 << 26
"""Questions times items in a batch, at most: what the mask of excluded items takes, in bytes."""

Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Items, best first, and their scores."""


@dataclass(frozen=True)
class Question:
    """What somebody did, and what may be recommended."""

    past: NDArray[np.int32]
    """Items, oldest first: what counts as seen."""
    read: NDArray[np.int32]
    """Those of them that the model is told of; may be none."""
    k: int
    exclude_seen: bool = True
    allow: NDArray[np.int32] | None = None
    """The only items that may be recommended; None for all."""
    deny: NDArray[np.int32] | None = None
    """Items that must not be."""
    without: tuple[int, ...] = ()
    """Prototypes that the user switched off."""


def rank_questions(model: G2Rec, questions: Sequence[Question]) -> list[Ranked]:
    """The best items of each question, in batches.

    A search keeps as many beams as the configuration says, or ``k`` where that is more; so questions share
    a batch only where they share the number of beams, and each has the answer that it would have alone.
    """
    answers: list[Ranked | None] = [None] * len(questions)
    for rows in _batches(model, questions):
        for row, answer in zip(rows, _rank(model, [questions[row] for row in rows]), strict=True):
            answers[row] = answer
    return [answer for answer in answers if answer is not None]


def _batches(model: G2Rec, questions: Sequence[Question]) -> Iterator[list[int]]:
    width = model.num_items if model.scores_all_items else model.config.beam_width
    groups: dict[int, list[int]] = {}
    for row, question in enumerate(questions):
        groups.setdefault(max(width, question.k), []).append(row)
    most = max(1, min(_ROWS, _CELLS // model.num_items))
    for rows in groups.values():
        rows = sorted(rows, key=lambda row: len(questions[row].read))  # rows of a batch are padded alike
        for start in range(0, len(rows), most):
            yield rows[start : start + most]


@torch.inference_mode()
def _rank(model: G2Rec, questions: Sequence[Question]) -> list[Ranked]:
    max_len = model.config.transformer.max_len
    read = [question.read[-max_len:] for question in questions]
    indptr = np.concatenate([[0], np.cumsum([len(past) for past in read])]).astype(np.int64)
    nobody = np.full(len(questions), -1)  # the model knows a user by what the user did, not by an index
    batch = history_batch(indptr, np.concatenate(read), nobody)
    if any(question.without for question in questions) and model.interests is not None:
        without = np.zeros((len(questions), len(model.interests.vectors)), dtype=bool)
        for row, question in enumerate(questions):
            without[row, list(question.without)] = True
        batch = replace(batch, without=torch.from_numpy(without))
    device = model.device
    exclude = _excluded(questions, model.num_items)
    k = max(question.k for question in questions)
    ranked = model.rank(
        batch.to(device), k, exclude=None if exclude is None else torch.from_numpy(exclude).to(device)
    )
    items, scores = ranked.items.cpu().numpy(), ranked.scores.float().cpu().numpy()
    answers = []
    for row, question in enumerate(questions):
        found = items[row, : question.k] >= 0
        answers.append((items[row, : question.k][found], scores[row, : question.k][found]))
    return answers


def _excluded(questions: Sequence[Question], num_items: int) -> NDArray[np.bool_] | None:
    if not any(q.exclude_seen or q.allow is not None or q.deny is not None for q in questions):
        return None
    exclude = np.zeros((len(questions), num_items), dtype=bool)
    for row, question in enumerate(questions):
        if question.allow is not None:
            exclude[row] = True
            exclude[row, question.allow] = False
        if question.deny is not None:
            exclude[row, question.deny] = True
        if question.exclude_seen:
            exclude[row, question.past] = True
    return exclude

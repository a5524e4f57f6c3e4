"""Words that set one group of items apart from all others."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_TOKEN = re.compile(r"[^\W_]+(?:['’.&][^\W_]+)*")
_GLUE = frozenset("a an and at by de for from in is it's la le new no of on or the to with your".split())  # noqa: SIM905
_UNITS = "count ct fl fluid g inch inches kg lb lbs ml mm cm ounce ounces oz pack packs pc pcs piece pieces"
_EMPTY = _GLUE | frozenset(_UNITS.split()) | {"best", "great", "item", "items", "plus", "set", "size", "you"}
_CATEGORY_COLUMNS = ("categories", "category", "genres")
_MOST_ITEMS = 50_000
"""Items whose titles are read; the first ones, in the order given."""
_LEAST_ITEMS = 4
"""A term that fewer items carry is no word for a group."""
_COMMON = 0.5
"""A term that more than this share of the items carries tells nothing apart."""
_PRIOR = 10.0
"""Weight of the prior, in items."""
_LEAST_COVERAGE = 0.06
_LEAST_Z = 2.0
_SWALLOW = 0.6
"""A phrase takes the place of its word from this share of the word's items on."""


@dataclass(frozen=True)
class ItemTerms:
    """Which terms each item carries: words and two-word phrases of its title, its categories, its decade."""

    items: NDArray[np.int64]
    """[N] items whose terms were read."""
    has: csr_matrix
    """[N, T], 1 where the item carries the term."""
    terms: tuple[str, ...]
    """[T] terms in lower case."""
    shown: tuple[str, ...]
    """[T] the same, as most items spell them."""

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """[T] items that carry each term."""
        return np.asarray(self.has.sum(axis=0), dtype=np.float64).ravel()


def item_terms(items: pa.Table, popularity: NDArray[np.integer] | None = None) -> ItemTerms:
    """Read the terms of a catalogue: titles, categories or genres, and the decade of a ``year`` column.

    Args:
        items: The items table of an `Interactions`.
        popularity: [I] training events; where there are more than 50,000 items the most used are read.
    """
    rows = np.arange(len(items))
    if len(rows) > _MOST_ITEMS:
        rows = (
            rows[:_MOST_ITEMS] if popularity is None else np.argsort(-popularity, kind="stable")[:_MOST_ITEMS]
        )
    table = items.take(pa.array(rows))
    carried = [_of_title(title) for title in table["title"].to_pylist()]
    for name in _CATEGORY_COLUMNS:
        if name in table.column_names:
            for terms, value in zip(carried, table[name].to_pylist(), strict=True):
                for category in [value] if isinstance(value, str) else value or []:
                    terms[str(category).lower()] = str(category)
    if "year" in table.column_names:
        for terms, year in zip(carried, table["year"].to_pylist(), strict=True):
            if re.fullmatch(r"\d{4}", str(year)):
                terms[f"{str(year)[:3]}0s"] = f"{str(year)[:3]}0s"
    return _count(carried, rows)


def group_words(groups: csr_matrix, terms: ItemTerms, num_words: int = 4) -> list[tuple[str, ...]]:
    """The terms that set each group apart, most telling first.

    Log-odds ratio of a term in the group against all other items, with an informative Dirichlet prior
    (Monroe, Colaresi and Quinn, Political Analysis 2008, equation 16), counted in items rather than tokens:
    with y items of the group's n carrying the term, y' of the other n', and the prior a = 10 s, s the share
    of all items that carry it,

        delta = log((y + a) / (n + 10 - y - a)) - log((y' + a) / (n' + 10 - y' - a)).

    Kept are terms with delta / sqrt(1 / (y + a) + 1 / (y' + a)) > 2 (equations 20 and 22) on at least 6% of
    the group; they are ordered by delta sqrt(y / n), since the z-score alone favours broad terms and delta
    alone rare ones. A word that mostly stands in a phrase gives way to it, and a term that shares a word
    with an earlier one is left out.

    Args:
        groups: [I, G] weight of each item in each group, in [0, 1].
        terms: The terms of the items.
        num_words: Terms a group, at most.
    """
    read = groups.tocsr()[terms.items]
    inside = (read.T @ terms.has).tocsr()  # a row is made dense at a time: groups × terms may be large
    size = np.asarray(read.sum(axis=0)).ravel()
    total, num_items = terms.counts, len(terms.items)
    prior = _PRIOR * total / max(1, num_items)
    stems = [_stems(term) for term in terms.terms]
    phrases: dict[str, list[int]] = {}
    for index, stem in enumerate(stems):
        if len(stem) > 1:
            for word in stem:
                phrases.setdefault(word, []).append(index)
    found = []
    for row in range(groups.shape[1]):
        y, n = inside[row].toarray().ravel(), size[row]
        rest, others = np.maximum(total - y, 0), num_items - n
        delta = np.log((y + prior) / (n + _PRIOR - y - prior)) - np.log(
            (rest + prior) / (others + _PRIOR - rest - prior)
        )
        z = delta / np.sqrt(1 / (y + prior) + 1 / (rest + prior))
        coverage = y / max(n, 1e-12)
        score = np.where((z > _LEAST_Z) & (coverage >= _LEAST_COVERAGE), delta * np.sqrt(coverage), 0.0)
        found.append(tuple(terms.shown[at] for at in _choose(score, coverage, stems, phrases, num_words)))
    return found


def _choose(
    score: NDArray[np.float64],
    coverage: NDArray[np.float64],
    stems: Sequence[frozenset[str]],
    phrases: dict[str, list[int]],
    num_words: int,
) -> list[int]:
    chosen: list[int] = []
    used: set[str] = set()
    for index in np.argsort(-score, kind="stable"):
        if score[index] <= 0 or len(chosen) == num_words:
            break
        term = int(index)
        if len(stems[term]) == 1:
            around = [at for at in phrases.get(next(iter(stems[term]), ""), []) if score[at] > 0]
            longer = [at for at in around if coverage[at] >= _SWALLOW * coverage[term]]
            term = max(longer, key=lambda at: (coverage[at], -at), default=term)
        if not stems[term] & used:
            chosen.append(term)
            used |= stems[term]
    return chosen


def _of_title(title: str) -> dict[str, str]:
    """Terms of a title, lower case to its own spelling; a phrase may hold one word such as ``of`` within."""
    words = _TOKEN.findall(title)
    low = [word.lower() for word in words]
    terms: dict[str, str] = {}
    for at, word in enumerate(low):
        if not _tells(word):
            continue
        terms.setdefault(word, words[at])
        after = at + 2 if at + 2 < len(low) and low[at + 1] in _GLUE else at + 1
        if after < len(low) and (_tells(low[after]) or low[after].isdigit()):
            terms.setdefault(" ".join(low[at : after + 1]), " ".join(words[at : after + 1]))
    return terms


def _stems(term: str) -> frozenset[str]:
    """The words of a term without a plural or possessive s: terms that share one say the same twice."""
    return frozenset(re.sub(r"(?:'s|(?<=[cs]h)es|s)$", "", word) for word in _TOKEN.findall(term.lower()))


def _tells(word: str) -> bool:
    return len(word) > 1 and word not in _EMPTY and not word[0].isdigit()


def _count(carried: Sequence[dict[str, str]], rows: NDArray[np.int64]) -> ItemTerms:
    counts = Counter(term for terms in carried for term in terms)
    most = max(_COMMON * len(carried), _LEAST_ITEMS)
    kept = sorted(term for term, count in counts.items() if _LEAST_ITEMS <= count <= most)
    vocabulary = {term: index for index, term in enumerate(kept)}
    spellings: list[Counter[str]] = [Counter() for _ in vocabulary]
    item, column = [], []
    for row, terms in enumerate(carried):
        for term, spelling in terms.items():
            if term in vocabulary:
                item.append(row)
                column.append(vocabulary[term])
                spellings[vocabulary[term]][spelling] += 1
    has = csr_matrix((np.ones(len(item)), (item, column)), shape=(len(rows), len(vocabulary)))
    shown = tuple(max(spelling.items(), key=lambda pair: (pair[1], pair[0]))[0] for spelling in spellings)
    return ItemTerms(rows, has, tuple(vocabulary), shown)

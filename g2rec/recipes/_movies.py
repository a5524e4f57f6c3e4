"""Raw files of MovieLens 100K, its copy inside RecBole, and MovieTweetings."""

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from g2rec.recipes._tables import Tables, integers, make_events, read_rows

# the order of the 19 flags of u.item, from u.genre
_GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")


def read_movielens(files: Mapping[str, Path]) -> Tables:
    """MovieLens 100K as GroupLens gives it (Harper and Konstan, 2015, https://doi.org/10.1145/2827872).

    ``u.data``: user, item, rating, seconds, separated by tabs. ``u.item``: latin-1, separated by pipes: item,
    title with year, two dates, address, 19 genre flags.

    Raises:
        DataError: If a file is missing or a line does not fit.
    """
    events = _ratings(files["events"], "\t")
    rows = read_rows(files["items"], "|", 5 + len(_GENRES), encoding="latin-1")
    genres = [
        [name for name, flag in zip(_GENRES, row[5:], strict=False) if flag.strip() == "1"] for row in rows
    ]
    item = integers([row[0] for row in rows], "item", files["items"])
    return Tables(events, _movie_table(item, [row[1] for row in rows], genres))


def read_recbole(files: Mapping[str, Path]) -> Tables:
    """MovieLens 100K as RecBole's atomic files (Zhao et al. 2021, https://arxiv.org/abs/2011.01731).

    Tab-separated with a header of ``name:type``; ``.inter`` has user_id, item_id, rating, timestamp and
    ``.item`` has item_id, movie_title, release_year, class.

    Raises:
        DataError: If a file is missing or a line does not fit.
    """
    events = _ratings(files["events"], "\t", header=1)
    rows = read_rows(files["items"], "\t", 4)[1:]
    item = integers([row[0] for row in rows], "item", files["items"])
    titles = [f"{row[1]} ({row[2]})" for row in rows]
    return Tables(events, _movie_table(item, titles, [row[3].split() for row in rows]))


def read_movietweetings(files: Mapping[str, Path]) -> Tables:
    """MovieTweetings (Dooms, De Pessemier and Martens 2013, https://github.com/sidooms/MovieTweetings).

    ``ratings.dat``: user::movie::rating::seconds; ``movies.dat``: movie::title (year)::genre|genre. A movie's
    id is its IMDb number with leading zeros, so it stays text.

    Raises:
        DataError: If a file is missing or a line does not fit.
    """
    path = files["events"]
    rows = read_rows(path, "::", 4)
    user = integers([row[0] for row in rows], "user", path)
    time = integers([row[3] for row in rows], "time", path)
    events = make_events(path, user, [row[1] for row in rows], time)
    movies = read_rows(files["items"], "::", 2)
    # one entry a movie: the list repeats some
    last = {row[0]: row for row in movies}.values()
    genres = [[name for name in (row[2] if len(row) > 2 else "").split("|") if name] for row in last]
    return Tables(events, _movie_table(pa.array([row[0] for row in last]), [row[1] for row in last], genres))


def _ratings(path: Path, separator: str, header: int = 0) -> pa.Table:
    rows = read_rows(path, separator, 4)[header:]
    user, item, _, time = zip(*(row[:4] for row in rows), strict=True) if rows else ((), (), (), ())
    seconds = integers([value.split(".")[0] for value in time], "time", path)
    return make_events(path, integers(user, "user", path), integers(item, "item", path), seconds)


def _movie_table(item: pa.Array, titles: list[str], genres: list[list[str]]) -> pa.Table:
    years = [match.group(1) if (match := _YEAR.search(title)) else None for title in titles]
    return pa.table(
        {
            "item": item,
            "item_id": item,
            "title": [_YEAR.sub("", title) for title in titles],
            "year": pa.array(years, pa.string()),
            "genres": pa.array(genres, pa.list_(pa.string())),
        }
    )

"""Amazon reviews of 2014, 5-core (McAuley et al. 2015, https://arxiv.org/abs/1506.04757)."""

import ast
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from g2rec.errors import DataError
from g2rec.recipes._tables import Tables, make_events

_ASIN = re.compile(r"""['"]asin['"]\s*:\s*['"]([^'"]+)['"]""")


def read_amazon(files: Mapping[str, Path]) -> Tables:
    """Read ``reviews_*_5.json.gz`` (one JSON object a line) and ``meta_*.json.gz``.

    The meta files hold Python literals, not JSON; they are read with ``ast.literal_eval``, and only the lines
    of reviewed items, which are a twentieth.

    Raises:
        DataError: If a file is missing or cut short, or a line does not parse (with its number).
    """
    path = files["events"]
    user, item, time = [], [], []
    for number, line in _lines(path):
        try:
            review = json.loads(line)
            user.append(str(review["reviewerID"]))
            item.append(str(review["asin"]))
            time.append(int(review["unixReviewTime"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: line {number} is not a review ({error!r}); get the file again"
            ) from None
    events = make_events(path, user, item, pa.array(time, pa.int64()))

    wanted = dict.fromkeys(item)
    found: dict[str, dict[str, Any]] = {}
    for number, line in _lines(files["items"]):
        match = _ASIN.search(line)
        if match and match.group(1) in wanted:
            try:
                found[match.group(1)] = ast.literal_eval(line)
            except (ValueError, SyntaxError):
                raise DataError(
                    f"{files['items']}: line {number} is not a Python literal; get the file again"
                ) from None
    entries = [found.get(asin, {}) for asin in wanted]
    asins = pa.array(list(wanted), pa.string())
    categories = [
        list(dict.fromkeys(name for branch in entry.get("categories", []) for name in branch))
        for entry in entries
    ]
    return Tables(
        events,
        pa.table(
            {
                "item": asins,
                "item_id": asins,
                "title": pa.array([entry.get("title") for entry in entries], pa.string()),
                "brand": pa.array([entry.get("brand") for entry in entries], pa.string()),
                "categories": pa.array(categories, pa.list_(pa.string())),
                "price": pa.array([entry.get("price") for entry in entries], pa.float64()),
            }
        ),
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}); remove it and get it again") from None

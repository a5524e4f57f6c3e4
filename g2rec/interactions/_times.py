"""Times of a log in whatever way it writes them, as seconds since 1970."""

import datetime
import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from g2rec.errors import DataError
from g2rec.interactions._csv import LEFT_OUT, count
from g2rec.recipes import as_seconds

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})[/.-](\d{4})"
    r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?"
)
"""01/12/2010 08:26, 1.12.2010 or 12-01-2010 8:26 AM."""
_UNITS = ((1e17, 1e9, "nano"), (1e14, 1e6, "micro"), (1e11, 1e3, "milli"))
"""From this number on, so many a second: 1e11 seconds are the year 5138, 1e11 milliseconds 1973."""
_RECENT = 1e9
"""Seconds since 1970 until 2001: smaller numbers may be seconds since anything."""
_COMPACT = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
"""By digits: 20101201 and 20101201082600, which as seconds would be in August 1970 and the year 640,000."""


def read_times(values: pa.Array, name: str, path: Path) -> pa.Array:
    """Seconds since 1970, null where there is no time: from numbers (seconds, milli-, micro- or nanoseconds),
    dates such as 20101201, timestamps, dates, or text with one of these, ISO dates, or days, months and years
    (UTC if no zone).

    Whether 01/12/2010 is in January or December is read from the other rows: a number above 12 is a day.

    Args:
        values: The column.
        name: Its name.
        path: The file, for messages.

    Raises:
        DataError: If more than 5% of the rows have no time or one that cannot be read, days and months cannot
            be told apart, units are mixed, or a time is negative.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        seconds = _of_text(values, name, path)
    else:
        seconds = values
    if pa.types.is_floating(seconds.type):
        seconds = pc.if_else(pc.is_finite(seconds), seconds, pa.scalar(None, seconds.type))
    if pa.types.is_integer(seconds.type) or pa.types.is_floating(seconds.type):
        seconds = _scaled(seconds, name, path)
    seconds = as_seconds(seconds, name, path, gaps=True)
    if seconds.null_count:
        what = _lacking(values, pc.is_null(seconds))
        if seconds.null_count > LEFT_OUT * len(seconds):
            raise DataError(
                f"{path}: column {name} should hold times (seconds, ISO dates, or days, months and years), "
                f"and {seconds.null_count:,} of {len(seconds):,} rows do not: {what}; mend or drop them"
            )
        logger.warning("%s: left out %s of %s: %s", path.name, count(seconds.null_count), name, what)
    return seconds


def _lacking(values: pa.Array, lacking: pa.Array) -> str:
    """How many rows are empty, and how many cannot be read, with the first of these."""
    empty = pc.is_null(values, nan_is_null=True)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True))
    unread = pc.and_(lacking, pc.invert(empty))
    parts = [
        f"{number:,} {said}"
        for number, said in ((pc.sum(pc.and_(lacking, empty)).as_py(), "without a time"),
                             (pc.sum(unread).as_py(), "with one that cannot be read"))
        if number
    ]  # fmt: skip
    first = pc.index(unread if pc.any(unread).as_py() else lacking, True).as_py()
    held = values[first].as_py()
    return f"{', '.join(parts)}, such as row {first + 1}" + (f", {held!r}" if pc.any(unread).as_py() else "")


def _scaled(numbers: pa.Array, name: str, path: Path) -> pa.Array:
    if numbers.null_count == len(numbers):
        return numbers
    held = numbers.drop_null().to_numpy(zero_copy_only=False)
    middle = float(np.median(held))
    for digits, form in _COMPACT.items():
        if len(f"{abs(middle):.0f}") == digits:
            days = _compact(numbers, form)
            if days is not None:
                logger.warning("%s: %s such as %.0f read as year, month, day", path.name, name, held[0])
                return days
    _one_unit(numbers, name, path)
    for least, unit, word in _UNITS:
        if middle >= least:
            logger.warning("%s: %s read as %sseconds since 1970", path.name, name, word)
            if pa.types.is_integer(numbers.type):
                return pc.divide(numbers, pa.scalar(int(unit), numbers.type))
            return pc.divide(numbers, unit)
    return numbers


def _compact(numbers: pa.Array, form: str) -> pa.Array | None:
    """Seconds of numbers that are all dates of the years 1900 to 2100 in this form, else None."""
    coded = numbers.dictionary_encode()
    seconds = []
    for value in coded.dictionary.to_pylist():
        try:
            moment = datetime.datetime.strptime(f"{value:.0f}", form).replace(tzinfo=datetime.UTC)
        except ValueError:
            return None
        if not 1900 <= moment.year <= 2100:
            return None
        seconds.append(moment.timestamp())
    return pa.array(seconds, pa.float64()).take(coded.indices)


def _one_unit(numbers: pa.Array, name: str, path: Path) -> None:
    """Refuse seconds beside milliseconds: one of the two would be thousands of years away."""
    held = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False)
    units = np.digitize(held, sorted(least for least, _, _ in _UNITS))
    recent = np.flatnonzero(held >= _RECENT)
    other = recent[units[recent] != units[recent[:1]]] if len(recent) else recent
    if len(other):
        raise DataError(
            f"{path}: column {name} should hold times of one unit, row {recent[0] + 1} has "
            f"{numbers[int(recent[0])]} and row {other[0] + 1} has {numbers[int(other[0])]}; write all as "
            "seconds"
        )


def _of_text(text: pa.Array, name: str, path: Path) -> pa.Array:
    """Each different text is read once."""
    coded = text.cast(pa.string()).dictionary_encode()
    known = [(value or "").strip() for value in coded.dictionary.to_pylist()]
    dates = [_DATE.fullmatch(value) for value in known]
    day_first = _day_first([date for date in dates if date], name, path)
    seconds = [
        _of_date(date, day_first) if date else _of_one(value)
        for date, value in zip(dates, known, strict=True)
    ]
    return pa.array(seconds, pa.float64()).take(coded.indices)


def _day_first(dates: list["re.Match[str]"], name: str, path: Path) -> bool:
    """Whether 01/12 is in December; what fits more of the dates."""
    if not dates:
        return True
    months = sum(int(date[1]) <= 12 for date in dates), sum(int(date[3]) <= 12 for date in dates)
    if months[0] == months[1] and dates[0][2] != ".":  # with dots, the day is first
        raise DataError(
            f"{path}: column {name} has dates such as {dates[0][0]!r}, and no row tells days from months; "
            "write them as 2010-12-01"
        )
    day_first = months[0] <= months[1]
    order = "day, month, year" if day_first else "month, day, year"
    logger.warning("%s: dates of %s such as %s read as %s", path.name, name, dates[0][0], order)
    return day_first


def _of_date(date: "re.Match[str]", day_first: bool) -> float | None:
    first, _, second, year, hour, minute, second_of_minute, half = date.groups()
    day, month = (first, second) if day_first else (second, first)
    hours = int(hour or 0) % 12 + 12 * (half.lower() == "pm") if half else int(hour or 0)
    try:
        moment = datetime.datetime(
            int(year),
            int(month),
            int(day),
            hours,
            int(minute or 0),
            int(second_of_minute or 0),
            tzinfo=datetime.UTC,
        )
    except ValueError:
        return None
    return moment.timestamp()


def _of_one(value: str) -> float | None:
    """ISO 8601, or a number; None for neither."""
    if _NUMBER.fullmatch(value):
        return float(value)
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()

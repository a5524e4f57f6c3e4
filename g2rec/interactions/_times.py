"""Times of a log in whatever way it writes them, as seconds since 1970."""

import datetime
import email.utils
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
_SLASHES, _UTC = re.compile(r"^(\d{4})/(\d{1,2})/(\d{1,2})"), re.compile(r"\s*(UTC|GMT)$")
_MAIL = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4}( \d{1,2}:\d{2}(?::\d{2})?(?: (?:[+-]\d{4}|GMT|UTC))?)?"
)
"""Mon, 13 Jan 2025 10:00:00 +0100; of other zones the offset would get lost."""
_UNITS = ((1e17, 1e9, "nano"), (1e14, 1e6, "micro"), (1e11, 1e3, "milli"))
"""From this number on, so many a second: 1e11 seconds are the year 5138, 1e11 milliseconds 1973."""
_FAR = _UNITS[-1][0]
"""Seconds of no log: larger numbers count something smaller."""
_RECENT = 1e9
"""Seconds since 1970 until 2001: smaller numbers may be seconds since anything."""
_GAP = 100
"""Between the latest time in one unit and the earliest in another, at least so many times."""
_COMPACT = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
"""By digits: 20101201 and 20101201082600, which as seconds would be in August 1970 and the year 640,000."""


def read_times(values: pa.Array, name: str, path: Path) -> tuple[pa.Array, pa.Array | None]:
    """Seconds since 1970, null where there is no time: from numbers (seconds, milli-, micro- or nanoseconds),
    dates such as 20101201, timestamps, dates, or text with one of these, ISO dates, dates of e-mails, or
    days, months and years (UTC if no zone).

    Beside them, where the times are finer, what orders events of one second: int64, in any unit.

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
    seconds = values
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        seconds = _of_text(values, name, path)
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        seconds = _of_numbers(values, name, path)
    ticks = _ticks(values, seconds)
    seconds = as_seconds(seconds, name, path, gaps=True)
    if seconds.null_count:
        what = _lacking(values, pc.is_null(seconds))
        if seconds.null_count > LEFT_OUT * len(seconds):
            raise DataError(
                f"{path}: column {name} should hold times (seconds, ISO dates, or days, months and years), "
                f"and {seconds.null_count:,} of {len(seconds):,} rows do not: {what}; mend or drop them"
            )
        logger.warning("%s: left out %s of %s: %s", path.name, count(seconds.null_count), name, what)
    if ticks is None or pc.count_distinct(ticks).as_py() <= pc.count_distinct(seconds).as_py():
        return seconds, None
    return seconds, ticks


def _ticks(values: pa.Array, read: pa.Array) -> pa.Array | None:
    """The finest times that the values tell; those of text and of fractions in microseconds."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp(values.type.unit)).cast(pa.int64())
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64(), safe=False)
    if pa.types.is_floating(read.type):
        known = pc.if_else(pc.is_finite(read), read, pa.scalar(None, read.type))
        return pc.floor(pc.multiply(known.cast(pa.float64()), 1e6)).cast(pa.int64(), safe=False)
    return None


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


def _of_numbers(numbers: pa.Array, name: str, path: Path) -> pa.Array:
    """Seconds of numbers that are dates, or of one unit; null where one is neither."""
    if pa.types.is_floating(numbers.type):
        numbers = pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, numbers.type))
    if numbers.null_count == len(numbers):
        return numbers
    held = numbers.drop_null().to_numpy(zero_copy_only=False)
    middle = float(np.median(held))
    if len(f"{abs(middle):.0f}") in _COMPACT:
        days = _compact(numbers)
        if days is not None:
            logger.warning("%s: %s such as %.0f read as year, month, day", path.name, name, held[0])
            return days
    _refuse_two_units(numbers, name, path)
    for least, unit, word in _UNITS:
        if middle >= least:
            logger.warning("%s: %s read as %sseconds since 1970", path.name, name, word)
            whole = pa.types.is_integer(numbers.type)
            numbers = pc.divide(numbers, pa.scalar(int(unit), numbers.type) if whole else unit)
            break
    if float(held.max()) < _FAR:  # also of a type that holds no such number
        return numbers
    return pc.if_else(pc.less(numbers, int(_FAR)), numbers, pa.scalar(None, numbers.type))


def _compact(numbers: pa.Array) -> pa.Array | None:
    """Seconds of numbers that are dates, null where one is none; None if that is more than a few."""
    coded = numbers.dictionary_encode()
    days = pa.array([_of_digits(value) for value in coded.dictionary.to_pylist()], pa.float64())
    days = days.take(coded.indices)
    lost = days.null_count - numbers.null_count
    return None if lost > LEFT_OUT * len(days) else days


def _of_digits(value: float) -> float | None:
    digits = str(int(value)) if value == int(value) else ""
    if len(digits) not in _COMPACT:
        return None
    try:
        moment = datetime.datetime.strptime(digits, _COMPACT[len(digits)]).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return moment.timestamp() if 1970 <= moment.year <= 2100 else None


def _refuse_two_units(numbers: pa.Array, name: str, path: Path) -> None:
    """Refuse seconds beside milliseconds, of which one would be thousands of years away."""
    held = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False)
    low, high = np.flatnonzero((held >= _RECENT) & (held < _FAR)), np.flatnonzero(held >= _FAR)
    few = LEFT_OUT * len(held)
    if min(len(low), len(high)) > few and held[high].min() > _GAP * held[low].max():
        raise DataError(
            f"{path}: column {name} should hold times of one unit, row {low[0] + 1} has {held[low[0]]:.0f} "
            f"and row {high[0] + 1} has {held[high[0]]:.0f}; write all as seconds"
        )


def _of_text(text: pa.Array, name: str, path: Path) -> pa.Array:
    """Each different text is read once."""
    coded = text.cast(pa.string()).dictionary_encode()
    known = [(value or "").strip() for value in coded.dictionary.to_pylist()]
    dates = [_DATE.fullmatch(value) for value in known]
    day_first = _day_first([date for date in dates if date], name, path)
    numbers = [float(value) if _NUMBER.fullmatch(value) else None for value in known]
    others = [
        None if number is not None else _of_date(date, day_first) if date else _of_iso(value)
        for date, value, number in zip(dates, known, numbers, strict=True)
    ]
    counted = _of_numbers(pa.array(numbers, pa.float64()).take(coded.indices), name, path)
    return pc.coalesce(counted, pa.array(others, pa.float64()).take(coded.indices))


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


def _of_iso(value: str) -> float | None:
    """ISO 8601, also with slashes or a zone's name (UTC), or a date as e-mails have it; None for others."""
    plain = _SLASHES.sub(lambda date: f"{date[1]}-{int(date[2]):02}-{int(date[3]):02}", value)
    try:
        moment = datetime.datetime.fromisoformat(_UTC.sub("+00:00", plain))
    except ValueError:
        mail = _MAIL.fullmatch(value)
        if not mail:
            return None
        try:
            moment = email.utils.parsedate_to_datetime(value if mail[1] else f"{value} 00:00")
        except ValueError:
            return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()

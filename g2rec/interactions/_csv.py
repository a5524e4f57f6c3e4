"""CSV files as shops export them: whatever their encoding, separator and stray lines."""

import codecs
import csv as lines
import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from g2rec.errors import DataError

logger = logging.getLogger(__name__)

LEFT_OUT = 0.05
"""The share of rows that may be damaged and left out; with more the file is not what it was taken for."""
_SEPARATORS = ",;\t|"
_TOLD = "sep="
"""How a first line for Excel begins, which names the separator."""
_MISSING = ("", "NULL", "null", "NaN", "nan", "None", r"\N", "n/a", "N/A")


def read_csv(path: Path, wanted: Sequence[str]) -> pa.Table:
    """Read a CSV file with a header; all columns are text, so that an ID keeps its leading zeros.

    The encoding is UTF-8 or UTF-16 by the file's own mark, UTF-8, or else Windows-1252. The separator, of
    comma, semicolon, tab and bar, is the one that finds most of the ``wanted`` columns, then most columns.
    Rows with another number of fields than the header are left out and counted in the log.

    Raises:
        DataError: If more than 5% of the rows do not fit the header, or the file is no text.
    """
    encoding = _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            head = file.readline()
            told = head[len(_TOLD) :].strip() if head.lower().startswith(_TOLD) else ""
            if told:
                head = file.readline()
    except UnicodeError as error:
        raise DataError(f"{path} cannot be read as text ({error}); check the file") from None
    separator = told or max(_SEPARATORS, key=lambda mark: _found(head, mark, wanted))
    names = _fields(head, separator)
    stray: list[csv.InvalidRow] = []

    def skip(row: csv.InvalidRow) -> str:
        stray.append(row)
        return "skip"

    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False, encoding=encoding, skip_rows=int(bool(told))),
            parse_options=csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=_MISSING
            ),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}; check the file") from None
    if stray:
        first, total = stray[0], table.num_rows + len(stray)
        fields = f"{first.actual_columns} fields and not {first.expected_columns}"
        what = f"line {first.number} with {fields}: {first.text[:60]}"
        if len(stray) > LEFT_OUT * total:
            raise DataError(
                f"{path} cannot be read: {len(stray):,} of {total:,} rows do not fit its header, {what}"
            )
        logger.warning(
            "%s: left out %s not fitting its header, such as %s", path.name, count(len(stray)), what
        )
    return table.rename_columns([name.strip() for name in table.column_names])


def count(rows: int) -> str:
    """A number of rows in words."""
    return f"{rows:,} row{'s' * (rows != 1)}"


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            logger.warning("%s: not UTF-8, read as Windows-1252", path.name)
            return "cp1252"
    return "utf-8-sig"


def _fields(head: str, separator: str) -> list[str]:
    return next(lines.reader([head], delimiter=separator), [])


def _found(head: str, separator: str, wanted: Sequence[str]) -> tuple[int, int]:
    names = [name.strip() for name in _fields(head, separator)]
    return len(set(wanted) & set(names)), len(names)

"""UCI Online Retail (Chen 2015, https://doi.org/10.24432/C5BW33): an Excel sheet, read without Excel."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa

from g2rec.errors import DataError
from g2rec.recipes._tables import Tables, make_events

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
# products have five digits and perhaps letters; POST, M, BANK CHARGES and the like are none
_PRODUCT = re.compile(r"\d{5}[A-Za-z]*")
_DAYS_1900_TO_1970 = 25_569


def read_online_retail(files: Mapping[str, Path]) -> Tables:
    """Read ``Online Retail.xlsx``: one event per customer, invoice and product.

    Left out: rows without a customer, cancelled invoices (``C...``), quantities or prices that are not
    positive, and codes that are no product. A product's title is its most frequent description.

    Raises:
        DataError: If the file is missing, is no such sheet, or a cell does not fit (with its row).
    """
    path = files["events"]
    rows = _sheet_rows(path)
    header = next(rows, {})
    if tuple(header.values()) != _COLUMNS:
        raise DataError(
            f"{path} has the columns {', '.join(header.values())}, expected {', '.join(_COLUMNS)}"
        )
    letters = list(header)
    events: dict[tuple[int, str, str], int] = {}
    names: dict[str, dict[str, int]] = {}
    prices: dict[str, list[float]] = {}
    for number, cells in enumerate(rows, start=2):
        invoice, code, title, quantity, date, price, customer, _ = (cells.get(key, "") for key in letters)
        code = code.strip().upper()
        if not customer or invoice.startswith("C") or not _PRODUCT.fullmatch(code):
            continue
        try:
            if float(quantity) <= 0 or float(price) <= 0:
                continue
            # whole minutes; a day count in binary is off by a few microseconds
            minutes = round((float(date) - _DAYS_1900_TO_1970) * 1440)
            events.setdefault((int(float(customer)), invoice, code), minutes * 60)
            prices.setdefault(code, []).append(float(price))
        except ValueError as error:
            raise DataError(f"{path}: row {number} does not fit ({error}); get the file again") from None
        titles = names.setdefault(code, {})
        titles[title.strip()] = titles.get(title.strip(), 0) + 1
    codes = sorted(names)
    best = [max(names[code], key=lambda title, c=code: (names[c][title], title)) or None for code in codes]  # type: ignore[misc]
    item = pa.array(codes, pa.string())
    return Tables(
        make_events(
            path,
            pa.array([customer for customer, _, _ in events], pa.int64()),
            pa.array([code for _, _, code in events], pa.string()),
            pa.array(list(events.values()), pa.int64()),
        ),
        pa.table(
            {
                "item": item,
                "item_id": item,
                "title": pa.array(best, pa.string()),
                "price_median_gbp": [float(np.median(prices[code])) for code in codes],
            }
        ),
    )


def _sheet_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a workbook's first sheet, as text by column letter."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared_strings(book)
            with book.open("xl/worksheets/sheet1.xml") as sheet:
                for _, element in ElementTree.iterparse(sheet):
                    if element.tag == f"{_MAIN}row":
                        yield dict(_cell(cell, shared) for cell in element.iter(f"{_MAIN}c"))
                        element.clear()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path") from None
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, IndexError) as error:
        raise DataError(f"{path} is not a whole Excel workbook ({error}); get it again") from None


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    with book.open("xl/sharedStrings.xml") as handle:
        entries = ElementTree.parse(handle).getroot().iter(f"{_MAIN}si")
        return ["".join(part.text or "" for part in entry.iter(f"{_MAIN}t")) for entry in entries]


def _cell(cell: ElementTree.Element, shared: list[str]) -> tuple[str, str]:
    letter = cell.get("r", "").rstrip("0123456789")
    if cell.get("t") == "inlineStr":
        return letter, "".join(part.text or "" for part in cell.iter(f"{_MAIN}t"))
    value = cell.findtext(f"{_MAIN}v") or ""
    return letter, shared[int(value)] if cell.get("t") == "s" else value

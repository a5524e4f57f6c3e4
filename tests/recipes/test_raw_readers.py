"""Each raw format, on small files written in exactly that format."""

import gzip
import json
import zipfile

import numpy as np
import pytest

from g2rec.errors import DataError
from g2rec.recipes import RemoteFile, Source, cache_dir, load_recipe
from g2rec.recipes._amazon import read_amazon
from g2rec.recipes._gowalla import read_gowalla_snap, read_lightgcn
from g2rec.recipes._movies import read_movielens, read_movietweetings, read_recbole
from g2rec.recipes._retail import read_online_retail


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_movielens(tmp_path):
    flags = ["0"] * 19
    flags[5], flags[14] = "1", "1"
    items = "2|Léon: The Professional (1994)|01-Jan-1994||http://x|" + "|".join(flags) + "\n"
    files = {
        "events": write(tmp_path / "u.data", "196\t2\t3\t881250949\n186\t2\t4\t891717742\n"),
        "items": write(tmp_path / "u.item", items, "latin-1"),
    }
    tables = read_movielens(files)
    assert tables.events.to_pydict() == {
        "user": [196, 186],
        "item": [2, 2],
        "time": [881250949, 891717742],
        "position": [0, 1],
    }
    movie = {
        "item": 2,
        "item_id": 2,
        "title": "Léon: The Professional",
        "year": "1994",
        "genres": ["Comedy", "Romance"],
    }
    assert tables.items.to_pylist() == [movie]


def test_recbole(tmp_path):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    item_head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    files = {
        "events": write(tmp_path / "ml.inter", head + "196\t242\t3\t881250949\n"),
        "items": write(tmp_path / "ml.item", item_head + "242\tKolya\t1996\tComedy Drama\n"),
    }
    tables = read_recbole(files)
    assert tables.events["time"].to_pylist() == [881250949]
    assert tables.items.to_pylist()[0] == {
        "item": 242,
        "item_id": 242,
        "title": "Kolya",
        "year": "1996",
        "genres": ["Comedy", "Drama"],
    }


def test_text_where_a_user_should_be_is_named_with_its_row(tmp_path):
    files = {
        "events": write(tmp_path / "u.data", "196\t2\t3\t881250949\nbob\t2\t4\t891717742\n"),
        "items": write(tmp_path / "u.item", ""),
    }
    with pytest.raises(DataError, match=r"u\.data: column user should hold whole numbers, row 2 has 'bob'"):
        read_movielens(files)
    write(tmp_path / "u.data", "196\t2\t3\t881250949\n196\t2\n")
    with pytest.raises(DataError, match="line 2 has 2 fields"):
        read_movielens(files)


def amazon_files(tmp_path, meta_line):
    review = {
        "reviewerID": "A1",
        "asin": "B01",
        "overall": 5.0,
        "unixReviewTime": 1369699200,
        "reviewText": "x",
    }
    lines = [json.dumps(review), json.dumps({**review, "reviewerID": "A2", "asin": "B02"})]
    events, items = tmp_path / "reviews_Beauty_5.json.gz", tmp_path / "meta_Beauty.json.gz"
    events.write_bytes(gzip.compress("\n".join(lines).encode()))
    unwanted = "{'asin': 'B99', 'title': __import__('os').getcwd()}"
    items.write_bytes(gzip.compress(f"{unwanted}\n{meta_line}\n".encode()))
    return {"events": events, "items": items}


def test_amazon_meta_is_python_literals(tmp_path):
    line = (
        "{'asin': 'B01', 'title': \"Murad's Cream\", 'price': 9.5, 'brand': 'Murad', "
        "'related': {'also_viewed': ['B02']}, 'categories': [['Beauty', 'Skin Care'], ['Beauty', 'Gifts']]}"
    )
    tables = read_amazon(amazon_files(tmp_path, line))
    assert tables.events["user"].to_pylist() == ["A1", "A2"]
    assert tables.events["time"].to_pylist() == [1369699200] * 2
    first, second = tables.items.to_pylist()
    assert first["title"] == "Murad's Cream"
    assert first["categories"] == ["Beauty", "Skin Care", "Gifts"]
    assert second == {
        "item": "B02",
        "item_id": "B02",
        "title": None,
        "brand": None,
        "categories": [],
        "price": None,
    }


def test_amazon_meta_is_never_run(tmp_path):
    with pytest.raises(DataError, match=r"meta_Beauty\.json\.gz: line 2 is not a Python literal"):
        read_amazon(amazon_files(tmp_path, "{'asin': 'B01', 'title': __import__('os').getcwd()}"))


def test_a_gzip_cut_short(tmp_path):
    files = amazon_files(tmp_path, "{'asin': 'B01'}")
    files["events"].write_bytes(files["events"].read_bytes()[:-12])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read_amazon(files)


def test_movietweetings_keeps_leading_zeros(tmp_path):
    files = {
        "events": write(tmp_path / "ratings.dat", "1::0120735::8::1363245118\n2::0002844::7::1365029107\n"),
        "items": write(
            tmp_path / "movies.dat", "0002844::Fantômas (1913)::Crime|Drama\n0120735::Lock (1998)::\n"
        ),
    }
    tables = read_movietweetings(files)
    assert tables.events["item"].to_pylist() == ["0120735", "0002844"]
    assert tables.items["title"].to_pylist() == ["Fantômas", "Lock"]
    assert tables.items["genres"].to_pylist() == [["Crime", "Drama"], []]


def write_workbook(path, rows):
    """A workbook as Excel writes it: texts in a shared table, numbers in place, empty cells left out."""
    texts, lines = [], []
    for number, row in enumerate(rows, start=1):
        cells = []
        for letter, value in zip("ABCDEFGH", row, strict=True):
            if isinstance(value, str):
                texts.append(value)
                cells.append(f'<c r="{letter}{number}" t="s"><v>{len(texts) - 1}</v></c>')
            elif value is not None:
                cells.append(f'<c r="{letter}{number}"><v>{value}</v></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
        sheet = f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>"
        book.writestr("xl/worksheets/sheet1.xml", sheet)
    return path


def test_online_retail(tmp_path):
    head = [
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
        "Country",
    ]
    day = 40513.35138888889  # 2010-12-01 08:26
    rows = [
        head,
        [536365, "85123A", "WHITE HANGING HEART", 6, day, 2.55, 17850, "United Kingdom"],
        [536365, "85123a", "WHITE HANGING HEART", 2, day, 2.55, 17850, "United Kingdom"],  # again
        [536365, 71053, "WHITE METAL LANTERN", 6, day, 3.39, 17850, "United Kingdom"],
        [536365, "POST", "POSTAGE", 1, day, 18, 17850, "United Kingdom"],
        ["C536379", 71053, "WHITE METAL LANTERN", -1, day, 3.39, 14527, "United Kingdom"],
        [536380, 71053, "WHITE METAL LANTERN", 1, day, 0, 14527, "United Kingdom"],
        [536381, 71053, None, 1, day, 3.39, None, "United Kingdom"],
    ]
    tables = read_online_retail({"events": write_workbook(tmp_path / "Online Retail.xlsx", rows)})
    assert tables.events["user"].to_pylist() == [17850, 17850]
    assert tables.events["item"].to_pylist() == ["85123A", "71053"]
    assert tables.events["time"].to_pylist() == [1291191960] * 2
    assert tables.items["title"].to_pylist() == ["WHITE METAL LANTERN", "WHITE HANGING HEART"]


def test_online_retail_refuses_another_sheet(tmp_path):
    with pytest.raises(DataError, match="has the columns a, b, c, d, e, f, g, h, expected InvoiceNo"):
        read_online_retail({"events": write_workbook(tmp_path / "x.xlsx", [list("abcdefgh")])})
    with pytest.raises(DataError, match="is not a whole Excel workbook"):
        read_online_retail({"events": write(tmp_path / "y.xlsx", "no zip")})


def test_lightgcn(tmp_path):
    files = {
        "events": write(tmp_path / "train.txt", "0 0 1 2\n1 2 \n"),
        "test": write(tmp_path / "test.txt", "0 3\n"),
        "items": write(tmp_path / "item_list.txt", "org_id remap_id\n9247 0\n8904 1\n777 2\n31 3\n"),
    }
    tables = read_lightgcn(files)
    assert tables.events.column_names == ["user", "item"]
    assert tables.events["user"].to_pylist() == [0, 0, 0, 1, 0]
    assert tables.events["item"].to_pylist() == [0, 1, 2, 2, 3]
    assert tables.items["item_id"].to_pylist() == ["9247", "8904", "777", "31"]


def test_gowalla_snap(tmp_path):
    path = tmp_path / "loc-gowalla_totalCheckins.txt.gz"
    lines = "0\t2010-10-19T23:55:27Z\t30.23\t-97.79\t22847\n0\t2010-10-18T22:17:43Z\t30.26\t-97.74\t420315\n"
    path.write_bytes(gzip.compress(lines.encode()))
    tables = read_gowalla_snap({"events": path})
    assert tables.events["time"].to_pylist() == [1287532527, 1287440263]
    assert tables.events["position"].to_pylist() == [1, 0]
    assert np.allclose(tables.items["latitude"].to_numpy(), [30.23, 30.26])
    path.write_bytes(gzip.compress(b"0\tnever\t1\t2\t3\n"))
    with pytest.raises(DataError, match="is not the check-in log"):
        read_gowalla_snap({"events": path})


def test_members_of_an_archive_are_copied_out_whole(tmp_path, monkeypatch):
    from g2rec.recipes import _fetch

    monkeypatch.setenv("G2REC_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe("ml-100k")
    archive = cache_dir() / "ml-100k" / "ml-100k.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as book:
        book.writestr("ml-100k/u.data", "1\t1\t5\t10\n")
        book.writestr("ml-100k/u.item", "")
    fetched = _fetch.fetch(recipe)  # what is in the cache is used, whatever the network
    assert fetched.reader == "movielens-100k"
    assert fetched.files["events"].read_text() == "1\t1\t5\t10\n"
    archive.write_bytes(b"<html>log in to this network</html>")
    source = Source(reader="movielens-100k", archive=RemoteFile(url="http://127.0.0.1:1/ml-100k.zip"))
    (cache_dir() / "checksums.json").unlink()
    with pytest.raises(DataError, match="is not a whole zip file; it was removed"):
        _fetch._fetch_source(recipe, source, None)
    assert not archive.exists()

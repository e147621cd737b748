"""Tables as spreadsheets write them: read as they are meant, or refused with the line and a way out; never silently otherwise."""

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from evenhand import load_task
from evenhand.cli import main
from evenhand.cli.accounts import print_account_of
from evenhand.cli.options import console
from evenhand.errors import DataError
from evenhand.tasks import accounts, builders, number_texts, text_tables
from evenhand.tasks.accounts import Taken
from evenhand.tasks.builders import Columns

NAN = float("nan")


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Reads a text, or bytes, as a table."""

    def read(content: str | bytes, target: str | None = None, **reading: Any) -> Columns:
        file = tmp_path / "table.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return builders.table(file, target, **reading)

    return read


def taken(columns: Columns, name: str) -> Taken:
    return next(part for part in columns.account.parts if part.name == name)


def column(columns: Columns, name: str) -> Any:
    return columns.x[:, columns.features.index(name)]


def test_a_european_table_has_its_numbers(table: Any) -> None:
    columns = table("x1;x2;price\n9,5;1,0;10,5\n12,25;2,0;11,0\n100,0;3,0;12,5\n")
    assert columns.x.tolist() == [[9.5, 1], [12.25, 2], [100, 3]]
    assert columns.y.tolist() == [10.5, 11, 12.5]
    assert "the decimal mark is a comma" in columns.account.remarks


def test_error_cells_of_excel_and_dashes_are_missing(table: Any) -> None:
    cells = ["#N/A", "#DIV/0!", "#NV", "#WERT!", "-", "–", "n.a.", "NULL", ".", ""]
    columns = table("x,price\n" + "".join(f"{cell},{row}.5\n" for row, cell in enumerate(["9", *cells, "100", "12"])))
    np.testing.assert_array_equal(column(columns, "x"), [9, *[NAN] * len(cells), 100, 12])
    assert columns.text == (False,)
    assert taken(columns, "x").missing == len(cells)
    with pytest.raises(DataError, match=r"line 3: the target 'price' is missing, in 2 of 4 rows \(lines 3, 4\)"):
        table("x,price\n9,10.5\n10,#N/A\n100,-\n12,13.5\n")


@pytest.mark.parametrize(
    ("cells", "values", "kind"),
    [
        (["1.234,5", "12.345,25"], [1234.5, 12345.25], "numbers"),
        (["1,234.5", "12,345.25"], [1234.5, 12345.25], "numbers"),
        (["1'234.5", "7.5"], [1234.5, 7.5], "numbers"),
        (["1 234", "1\u00a0234\u00a0567"], [1234, 1234567], "numbers"),
        (["1.234.567", "1.000"], [1234567, 1000], "numbers"),
        (["0,123", "1,234"], [0.123, 1.234], "numbers"),
        (["\u22125", "+6"], [-5, 6], "numbers"),
        (["1e-3", "2.5E4"], [0.001, 25000], "numbers"),
        (["12 kg", "7,5kg"], [12, 7.5], "numbers in kg"),
        (["5 %", "12.5%"], [5, 12.5], "numbers in %"),
        (["€ 5", "-€7"], [5, -7], "numbers in €"),
        (["3 m", "4 m"], [3, 4], "numbers in m"),
        (["1_000", "inf"], [0, 1], "text, 2 values"),
        (["1A", "2A"], [0, 1], "text, 2 values"),
        (["1.2.3", "10.0.0.1"], [0, 1], "text, 2 values"),
    ],
)
def test_numbers_as_people_write_them(table: Any, cells: list[str], values: list[float], kind: str) -> None:
    columns = table("x;y\n" + "".join(f"{cell};{label}\n" for cell, label in zip(cells, "ab", strict=True)))
    assert column(columns, "x").tolist() == values
    assert taken(columns, "x").kind == kind


@pytest.mark.parametrize(
    ("text", "reading", "why"),
    [
        ("x;y\n1,234;a\n5,678;b\n", {}, r"column 'x', line 2: '1,234' is 1\.234 or 1234, .*decimal="),
        ("x;y\n1.234;a\n5.678;b\n", {}, r"column 'x', line 2: '1\.234' is 1\.234 or 1234, .*--decimal"),
        ("x;y\n9,5;a\n9.5;b\n", {}, r"column 'x': '9\.5' \(line 3\), '9,5' \(line 2\) have different decimal marks"),
        ("x;y\n9,5;a\n8,5;b\n", {"decimal": "."}, r"no number with the decimal mark '\.' is '9,5' \(line 2\), '8,5' \(line 3\)"),
        ("x,y\n1,a\n<0.1,b\n3,a\n", {}, r"2 of 3 values are numbers, but not '<0\.1' \(line 3\); .*--missing.*--text"),
        ("x,y\n1 kg,a\n2 g,b\n", {}, r"column 'x': units differ, as in '1 kg' \(line 2\), '2 g' \(line 3\)"),
        ("x,y\n5%,a\n0.05,b\n", {}, r"column 'x': units differ"),
        ("5.1,3.5,a\n4.9,3.0,b\n4.7,3.2,a\n", {}, r"line 1: looks like values \(5\.1, 3\.5\).*--no-header.*--header"),
        ("land,2019,2020\nx,1,2\ny,3,4\n", {}, r"line 1: looks like values \(2019, 2020\)"),
        ("red,yes\nblue,no\nred,yes\n", {}, r"line 1: looks like values \(red, yes\)"),
        ("x,y\n1,10\n2,11\n3,12\n", {}, r"'y' has 3 whole numbers in 3 rows, which may be classes .*--classes.*--numbers"),
        ("x,y\n1.5,a\n2.5,a\n", {}, r"'y' has the one class 'a', expected at least two"),
        ("x,y\n1.5,3.5\n2.5,3.5\n", {}, r"'y' is '3\.5' in every row"),
        ("x,y\n1.5,ann\n2.5,bob\n3,cid\n", {}, r"'y' has 3 classes in 3 rows"),
        ("a,b;c,d\n1,2;3,4\n", {}, r"commas and semicolons split its lines evenly; .*--delimiter"),
        ('x,y\n1,"a\n2,b\n', {}, r"line 2: cannot be read as CSV \(unexpected end of data\)"),
        ("x,y\n\n1,a\n2\n", {}, r"line 4: has 1 cell split by commas, expected 2 as in line 1"),
        ("x,y\n1,a\n2,b\n", {"text": ["z"]}, r"has no column 'z'; expected one of x, y"),
        ("x,y\n1,a\n2,b\n", {"delimiter": ";;"}, r"delimiter ';;' .*expected one character"),
        ("x,y\n1,a\n2,b\n", {"encoding": "latin9x"}, r"encoding 'latin9x' .*is not known"),
        ("x\ty\nM\xfcller\ta\n".encode("latin-1"), {}, r"line 2: is no text in UTF-8; .*'Müller\\ta'.*--encoding"),
        (b"", {}, r"is empty"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_line(table: Any, text: str | bytes, reading: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        table(text, **reading)


def test_the_ways_out_lead_out(table: Any) -> None:
    assert column(table("x;y\n1,234;a\n5,678;b\n", decimal=","), "x").tolist() == [1.234, 5.678]
    assert column(table("x;y\n1,234;a\n5,678;b\n", decimal="."), "x").tolist() == [1234, 5678]
    assert column(table("x;z;y\n1,234;0,5;a\n5,678;1,5;b\n"), "x").tolist() == [1.234, 5.678], "another column tells"
    np.testing.assert_array_equal(column(table("x,y\n1,a\n<0.1,b\n3,a\n4,b\n", missing=["<0.1"]), "x"), [1, NAN, 3, 4])
    assert table("x,y\n1,a\n<0.1,b\n3,a\n4,b\n", text=["x"]).text == (True,)
    headless = table("5.1,3.5,a\n4.9,3.0,b\n4.7,3.2,a\n4.6,3.1,b\n", header=False)
    assert (headless.features, headless.x.shape) == (("column 1", "column 2"), (4, 2))
    assert table("land,2019,2020\nx,1,2.5\ny,3,4\n", header=True).features == ("land", "2019")
    assert table("x,y\n1,10\n2,11\n3,10\n4,11\n", classes=True).classes == ("10", "11")
    assert table("x,y\n1,10\n2,11\n3,other\n4,11\n", classes=True).classes == ("10", "11", "other")
    assert table("x,y\n1,10\n2,11\n3,12\n", classes=False).y.tolist() == [10, 11, 12]
    assert table("a,b;c,d\n1,2;3,4\n5,1;7,8\n", delimiter=";", classes=False).y.tolist() == [3.4, 7.8]
    assert taken(table("x\ty\nM\xfcller\ta\nb\tb\n".encode("latin-1"), encoding="latin-1"), "x").first == ("Müller", "b")


def test_none_is_a_class_and_a_word_but_no_number(table: Any) -> None:
    columns = table("x,pain,grade\n1,none,none\nnone,mild,mild\n3,-,none\n4,mild,mild\n")
    assert columns.classes == ("mild", "none")
    np.testing.assert_array_equal(column(columns, "x"), [1, NAN, 3, 4])
    np.testing.assert_array_equal(column(columns, "pain"), [1, 0, NAN, 0])
    assert any("'none' is a value, in 1 row" in remark for remark in columns.account.all_remarks)
    assert "x: 'none' is taken as missing in 1 row" in columns.account.all_remarks


def test_whole_numbers_keep_their_names_as_classes(table: Any) -> None:
    columns = table("x,code\n" + "".join(f"{row / 7},{1234567 + row % 2}\n" for row in range(20)))
    assert columns.classes == ("1234567", "1234568"), "six digits would make one name of both"
    assert taken(columns, "code").holds == "1234567 (10), 1234568 (10)"
    spread = table("x,code\n" + "".join(f"{row / 7},{row % 30}\n" for row in range(300)))
    assert spread.classes == ()
    assert taken(spread, "code").kind == "target: numbers, 30 values"


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["007", "7", "8"], ("7", "007", "8")),
        (["007", "07", "7"], ("7", "07", "007")),
        (["01", "02", "10"], ("01", "02", "10")),
        (["123456789012345678", "123456789012345679"], ("123456789012345678", "123456789012345679")),
        (["5%", "10%", "5.0%"], ("5%", "10%")),
        (["1", "1.0", "2", "+2.00"], ("1", "2")),
        (["1,000", "1000", "2,500"], ("1000", "2500")),
    ],
)
def test_classes_are_neither_merged_nor_given_other_names(table: Any, cells: list[str], classes: tuple[str, ...]) -> None:
    columns = table("x;y\n" + "".join(f"{row / 7};{cells[row % len(cells)]}\n" for row in range(60)), decimal=".")
    assert columns.classes == classes
    assert set(columns.y.tolist()) == set(range(len(classes)))
    zeros = [remark for remark in columns.account.all_remarks if remark.startswith("y: numbers begin with 0")]
    assert zeros == ["y: numbers begin with 0; each way to write one is a class"] * (cells[0][0] == "0")


def test_a_target_is_remarked_as_a_feature_is(table: Any) -> None:
    rows = "".join(f"{row / 7};0{row},5;{1000 + row}\n" for row in range(30)).replace(".", ",")
    remarks = table(f"x;y;z\n{rows}", "z", classes=False).account.all_remarks
    assert "the decimal mark is a comma" in remarks
    coded = table("x,y\n" + "".join(f"{row / 7},0{row}\n" for row in range(30)))
    assert "y: numbers begin with 0; where they are codes, say text=['y'] (--text)" in coded.account.all_remarks
    apart = table("x,y\n" + "".join(f'{row / 7},"1,{100 + row}.5"\n' for row in range(30)))
    assert "y: thousands are set apart" in apart.account.all_remarks


def test_none_in_a_target_has_a_way_out(table: Any) -> None:
    text = "x,y\n" + "".join(f"{row / 7},{['none', '1', '2'][row % 3]}\n" for row in range(30))
    with pytest.raises(DataError, match=r"the target 'y' is missing, in 10 of 30 rows .*'none' is a class, say text=\['y'\]"):
        table(text)
    assert table(text, text=["y"]).classes == ("1", "2", "none")
    with pytest.raises(DataError, match=r"is '007' in every row, .*text=\['y'\]"):
        table("x,y\n1,007\n2,7\n3,07\n", classes=False)


def test_each_column_says_its_decimal_mark_where_they_differ(table: Any) -> None:
    columns = table("p;q;r;y\n0,5;0.5;1;1,5\n1,5;1.25;2;2,25\n")
    assert columns.x.tolist() == [[0.5, 0.5, 1], [1.5, 1.25, 2]]
    assert columns.account.all_remarks == [
        "cells are split by semicolons",
        "p: the decimal mark is a comma",
        "q: the decimal mark is a point",
        "y: the decimal mark is a comma",
    ]
    assert "the decimal mark is a comma" in table("p;y\n1;1,5\n2;2,25\n").account.remarks, "the target alone shows it"


def test_thousands_of_one_column_say_nothing_of_another_between_commas(table: Any) -> None:
    columns = table("ip,p,y\n192.168.100,1.100,a\n10.168.200,2.250,b\n")
    assert column(columns, "p").tolist() == [1.1, 2.25]
    assert column(columns, "ip").tolist() == [192168100, 10168200]


def test_what_no_float_can_hold_is_no_number(table: Any) -> None:
    with pytest.raises(DataError, match=r"2 of 3 values are numbers, but not '1e999' \(line 3\)"):
        table("x,y\n1,a\n1e999,b\n3,a\n")
    with pytest.raises(DataError, match=r"2 of 3 values are numbers, but not '9+' \(line 3\)"):
        table(f"x,y\n1,a\n{'9' * 400},b\n3,a\n")
    assert column(table("x,y\n1e308,a\n2,b\n"), "x").tolist() == [1e308, 2]


@pytest.mark.parametrize(
    ("first", "step", "unit", "remark"),
    [
        (0, 1, "%", "one more in each row"),
        (1.25, 1, "", "one more in each row"),
        (1980, 1, "", "another whole number in each row"),
    ],
)
def test_quantities_that_go_on_by_one_stay(table: Any, first: float, step: float, unit: str, remark: str) -> None:
    columns = table("q,x,y\n" + "".join(f"{first + step * row}{unit},{row % 7},{'ab'[row % 2]}\n" for row in range(40)))
    assert columns.features == ("q", "x")
    assert any(
        text.startswith(f"q: {remark}; where it names the row, say leave_out=['q']") for text in columns.account.all_remarks
    )


@pytest.mark.parametrize(
    ("text", "reading", "why"),
    [
        ("x,y\n1,1.5\n2,2.5\n", {"leave_out": ["y"]}, r"leave_out=\['y'\] \(--leave-out\) is the target"),
        ("x,y\n1,1.5\n2,2.5\n", {"keep": ["x"], "leave_out": ["x"]}, r"\(--keep\) and leave_out .* both name 'x'"),
        ("a b c\n1 2 3\n4 5 6\n", {}, r"has the one column 'a b c' where cells are split by commas, .*--delimiter"),
        (
            "a,b,\n1,2,\n4,5,\n",
            {},
            r"the target 'column 3' is missing, in 2 of 2 rows .*last column is empty where lines end .*--target",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(table: Any, text: str, reading: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        table(text, **reading)


def test_numbers_are_the_same_whether_looked_at_one_by_one_or_as_a_column() -> None:
    texts = ["1", "-2.5", "+3.25", "", "0.125", "NA", "12", "1"]
    quick = number_texts.numbers_of("x", texts, range(2, 10))
    slow = number_texts.numbers_of("x", [*texts, "1e100"], range(2, 11))
    assert quick is not None
    assert slow is not None
    assert (quick.cells, quick.marks, len(slow.cells or ())) == (None, slow.marks, 6)
    np.testing.assert_array_equal(quick.read(".").values, slow.read(".").values[:-1])
    for ambiguous in (["1.234", "5"], ["1.234", "5.678"]):
        assert number_texts.numbers_of("x", ambiguous, [2, 3]).ambiguous.text == "1.234"  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"no number with the decimal mark ',' is '0\.5' \(line 3\)"):
        number_texts.numbers_of("x", ["1", "0.5"], [2, 3], decimal=",")
    broken = number_texts.numbers_of("x", ["1\n2", "5", "6"], [2, 4, 5], missing=["1\n2"])
    assert broken is not None
    np.testing.assert_array_equal(broken.read(".").values, [NAN, 5, 6])


def test_columns_cost_no_look_at_each_cell_that_is_plain(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    look = number_texts._cell

    def looked(line: int, text: str) -> Any:
        looked_at.append(text)
        return look(line, text)

    monkeypatch.setattr(number_texts, "_cell", looked)
    rows = "".join(
        f"{row / 8},{row * 3 % 1000},{'abc'[row % 3]},{'' if row % 9 else row / 4},{'ab'[row % 2]}\n" for row in range(3000)
    )
    columns = table(f"p,q,r,s,y\n{rows}")
    assert columns.x.shape == (3000, 4)
    assert len(looked_at) < 100, "the first line, and each text that differs"


def test_columns_that_number_or_name_the_rows_are_left_out_and_said(table: Any) -> None:
    rows = "".join(f"{row},{'abcdefghijkl'[row]}x,{row * row},,1,{row % 2}.5\n" for row in range(12))
    text = f"number,name,square,empty,same,y\n{rows}"
    columns = table(text)
    assert columns.features == ("square", "same")
    kinds = {part.name: part.kind for part in columns.account.parts}
    assert [*kinds] == ["number", "name", "square", "empty", "same", "y"]
    assert kinds["number"] == "left out: it counts the rows"
    assert kinds["name"] == "left out: another text in each row"
    assert kinds["empty"] == "left out: it is empty"
    assert any(remark.startswith("square: another whole number in each row") for remark in columns.account.all_remarks)
    assert "same: the same value wherever there is one" in columns.account.all_remarks
    assert table(text, keep=["number"], leave_out=["square", "same"]).features == ("number",)
    with pytest.raises(DataError, match="no column is left to predict 'y' from"):
        table(text, leave_out=["square", "same"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_encodings_of_spreadsheets(table: Any, encoding: str) -> None:
    columns = table("Größe\tArt\n1,5\tä\n2,5\tb\n".encode(encoding))
    assert columns.features == ("Größe",)
    assert columns.x.tolist() == [[1.5], [2.5]]
    assert columns.classes == ("b", "ä")
    guessed = any("every other one is zero" in remark for remark in columns.account.remarks)
    assert guessed == encoding.endswith("e"), "bytes without a mark are said to be guessed at"


def test_a_first_line_says_what_splits_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\nx;y\n1,5;a\n\n2,5;b\n;\n")
    read = text_tables.read(tmp_path / "a.csv")
    assert (read.names, read.rows, read.lines) == (["x", "y"], [["1,5", "a"], ["2,5", "b"]], [3, 5])
    assert read.remarks == ("2 lines without any value passed over",)


def test_an_archive_of_one_table_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/table.csv", "x,y\n1,a\n2,b\n")
        archive.writestr("__MACOSX/folder/._table.csv", b"\x00\x05")
        archive.writestr("folder/.DS_Store", b"\x00")
    assert text_tables.read(tmp_path / "a.zip").names == ["x", "y"]
    packed = gzip.compress(b"x,y\n1,a\n2,b\n")
    (tmp_path / "a.csv.gz").write_bytes(packed)
    assert text_tables.read(tmp_path / "a.csv.gz").names == ["x", "y"]
    (tmp_path / "b.csv.gz").write_bytes(packed[:-9])
    with pytest.raises(DataError, match=r"b\.csv\.gz: cannot be read"):
        text_tables.read(tmp_path / "b.csv.gz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.csv", "x,y\n1,a\n")
        archive.writestr("b.csv", "x,y\n1,a\n")
    with pytest.raises(DataError, match=r"holds 2 files \(a\.csv, b\.csv\), expected one table"):
        text_tables.read(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(DataError, match="is a workbook of a spreadsheet program; save the sheet as CSV"):
        text_tables.read(tmp_path / "c.xlsx")


def test_names_of_columns_are_distinct_and_what_was_renamed_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,x,,y\n1,2,3,a\n")
    read = text_tables.read(tmp_path / "a.csv")
    assert read.names == ["x", "x 2", "column 3", "y"]
    assert len(read.remarks) == 2
    (tmp_path / "b.csv").write_text(",0,1,2\n0,5,6,7\n1,8,9,8\n")
    assert text_tables.read(tmp_path / "b.csv").names == ["column 1", "0", "1", "2"], "as pandas names columns without names"


@pytest.mark.slow
def test_what_a_table_was_taken_for_is_printed_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(console, "width", 140)
    rows = "".join(f"{row % 7},{row};{'none' if row % 2 else 'mild'}\n" for row in range(40))
    (tmp_path / "pain.csv").write_text(f"sep=;\nwidth;pain\n{rows}")
    new = ["task", "new", "pain", "--from", "pain.csv", "--no-check"]
    refused = CliRunner().invoke(main.app, [*new, "--decimal", "x"])
    assert "expected a point or a comma" in str(refused.exception)
    made = CliRunner().invoke(main.app, [*new, "--text", "pain", "--decimal", ",", "--missing", "--"])
    assert made.exit_code == 0, made.output
    assert 'classes=CLASSES, decimal=",", missing=["--"], text=["pain"])' in (tmp_path / "pain.py").read_text()
    arguments = ["task", "check", "pain.py:train", "--configurations", "0", "--seeds", "1", "--epochs", "1"]
    checked = CliRunner().invoke(main.app, arguments)
    arguments = ["tune", "pain.py:train", "--trials", "1", "--method", "random", "--epochs-per-trial", "1", "--no-evaluate"]
    tuned = CliRunner().invoke(main.app, arguments)
    for output in (made.output, checked.output, tuned.output):
        assert "pain.csv: 40 rows, 2 columns" in output
        assert "target: 2 classes  mild (20), none (20)" in output
        assert "the decimal mark is a comma" in output


ARRAYS = """
import numpy as np
from evenhand import Float, Splits, task

X = np.array([[1.5, 2.0], [np.nan, 4.0], [3.5, 6.0], [0.5, 8.0], [1.0, 9.0]] * 4)


@task(space={"c": Float(0, 1)}, metric="accuracy", max_epochs=1, data=lambda: Splits.drawn(X, np.arange(20) % 2))
def train(configuration, run):
    run.report(epoch=1, accuracy=run.score(lambda x: np.zeros(len(x))))
"""


def test_arrays_of_a_task_are_told_of_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(console, "width", 140)
    (tmp_path / "own.py").write_text(ARRAYS)
    checked = CliRunner().invoke(main.app, ["task", "check", "own.py:train", "--configurations", "0", "--seeds", "1"])
    assert "training data: 12 examples" in checked.output
    assert "target: 2 classes  0 (6), 1 (6)" in checked.output


@pytest.mark.parametrize(
    ("y", "is_classes", "kind", "holds"),
    [
        (np.arange(30) % 10, None, "target: 10 classes", "0 (3), 1 (3), 2 (3), 3 (3), 4 (3), 5 (3), 6 (3), 7 (3), 2 others"),
        (np.arange(30.0) % 2, None, "target: 2 classes", "0 (15), 1 (15)"),
        (np.arange(30.0) % 2, False, "target: numbers, 2 values", "0 to 1"),
        (np.arange(30), None, "target: numbers, 30 values", "0 to 29"),
        (np.arange(2).repeat(15) + 0.5, True, "target: 2 classes", "0.5 (15), 1.5 (15)"),
        (np.array([*range(30)], object), None, "target: numbers, 30 values", "0 to 29"),
        (np.array(["a", "b"] * 15), None, "target: 2 classes", "a (15), b (15)"),
        ([[1], [1, 2]], None, "an object", "list"),
        (np.ones((3, 2)), None, "an array", "shape (3, 2)"),
    ],
)
def test_targets_are_told_as_splits_and_tables_take_them(y: Any, is_classes: bool | None, kind: str, holds: str) -> None:
    target = accounts.of_arrays(np.ones((30, 2)), y, is_classes=is_classes).parts[-1]
    assert (target.kind, target.holds) == (kind, holds)


COUNTED = """
from pathlib import Path

import numpy as np
from evenhand import Float, Splits, task


def data():
    with Path("calls.txt").open("a") as calls:
        calls.write("x")
    return Splits.drawn(np.ones((20, 2)), np.arange(20.0) % 10)


@task(space={"c": Float(0, 1)}, metric="METRIC", max_epochs=1, data=data, statistics=STATISTICS)
def train(configuration, run):
    run.report(epoch=1, METRIC=run.score(lambda x: np.zeros(len(x))))
"""


def test_data_is_not_loaded_once_more_to_be_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(console, "width", 140)
    check = ["task", "check", "own.py:train", "--configurations", "0", "--seeds", "1"]
    tune = ["tune", "own.py:train", "--trials", "1", "--method", "random", "--no-evaluate"]
    for metric, statistics, arguments, calls, says in [
        ("accuracy", "{}", check, 3, "target: 10 classes"),  # for the account and the sheet of pictures, the training, chance
        ("mse", "{}", check, 2, "target: numbers, 10 values"),
        ("mse", "{}", tune, 2, "target: numbers, 10 values"),  # for the account and the counts of rows, and the trial
        ("mse", '{"validation rows": 4}', tune, 1, ""),
    ]:
        (tmp_path / "own.py").write_text(COUNTED.replace("METRIC", metric).replace("STATISTICS", statistics))
        (tmp_path / "calls.txt").write_text("")
        done = CliRunner().invoke(main.app, arguments)
        assert done.exit_code == 0, done.output
        assert ("training data" in done.output, says in done.output) == (bool(says), True)
        assert len((tmp_path / "calls.txt").read_text()) == calls


def test_a_fault_of_the_account_is_not_hidden_and_one_of_the_task_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arrays: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    task = load_task("practice")
    unloadable = replace(task, data=broken)
    assert print_account_of(unloadable, open_data=True) is unloadable
    monkeypatch.setattr(accounts, "of_arrays", broken)
    with pytest.raises(ZeroDivisionError):
        print_account_of(task, open_data=True)

"""Tables as spreadsheets and programs write them: which bytes, which character splits cells, which line names the columns."""

import csv
import gzip
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evenhand.errors import DataError
from evenhand.model.files import BROKEN_ZIP, MOST_UNPACKED_BYTES, TooLarge, bounded, check_file, content_of
from evenhand.model.words import plural, text_of
from evenhand.tasks.number_texts import says_number

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SNIFFED_ROWS = 1_000  # from which the delimiter is told
MOST_CHARACTERS = 1 << 24  # of one cell
ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
GUESSED_BYTES = 1_000  # from which UTF-16 is guessed
SHOWN = 5  # names that an error lists at most


@dataclass(frozen=True)
class TextTable:
    """A table as texts.

    Attributes:
        names: of its columns, made distinct; None where it has none.
        rows: the cells without blanks around them, all as many.
        lines: the line of the file that each row begins in.
        delimiter: what splits cells.
        remarks: what was passed over or changed, in words.
    """

    names: list[str] | None
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    remarks: tuple[str, ...]


def read(file: Path, *, delimiter: str | None = None, encoding: str | None = None, header: bool | None = None) -> TextTable:
    """A table in a text file, or the one in a zip or gzip archive.

    Args:
        file: the file. A first line such as `sep=;` says what splits cells.
        delimiter: what splits cells; None: it is told from the rows.
        encoding: of the text; None: UTF-8, or UTF-16 where its first bytes say so, or some of them are zero.
        header: whether the first line names the columns; None: it does, and one that looks like values is refused.

    Returns:
        Its names and rows.

    Raises:
        DataError: it cannot be read, has no rows, a row has more or fewer cells than the others, or what it means is not clear.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f'{file}: delimiter {delimiter!r} (--delimiter): expected one character, such as ";"')
    content = _content(file)
    guessed = _guessed_encoding(content) if encoding is None else None
    text = _decoded(file, content, encoding or guessed)
    first, _, rest = text.partition("\n")
    said, skipped_lines = first.strip().strip('"'), 0
    if said.lower().startswith("sep=") and len(said) == len("sep=;"):
        delimiter, text, skipped_lines = delimiter or said[-1], rest, 1
    mark = delimiter or _delimiter(file, text)
    lines, rows = _rows(file, text, mark, skipped_lines)
    full = [place for place, row in enumerate(rows) if any(row)]
    remarks = [f"{plural(len(rows) - len(full), 'line')} without any value passed over"] if len(full) < len(rows) else []
    if guessed:
        remarks.append(f"the bytes do not say their encoding; every other one is zero, as in {guessed.upper()}")
    lines, rows = [lines[place] for place in full], [rows[place] for place in full]
    if not rows:
        raise DataError(f"{file}: is empty, expected a row for each example")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{file}, line {line}: has {plural(len(row), 'cell')} split by {delimiter_words(mark)}, expected {len(rows[0])} "
                f"as in line {lines[0]}"
            )
    if header is None:
        header = _names_columns(file, lines[0], rows)
    if not header:
        return TextTable(None, rows, lines, mark, tuple(remarks))
    if len(rows) < 2:
        raise DataError(f"{file}: has 1 row, expected a line of names of columns and rows below it")
    names, renamed = _distinct(rows[0])
    return TextTable(names, rows[1:], lines[1:], mark, (*remarks, *renamed))


def delimiter_words(mark: str) -> str:
    """What splits cells, as people say it."""
    return DELIMITERS.get(mark, repr(mark))


def _content(file: Path) -> bytes:
    try:
        content = check_file(file).read_bytes()
        if content.startswith(b"\x1f\x8b"):
            return bounded(gzip.open(io.BytesIO(content)), file.name, MOST_UNPACKED_BYTES)
        if not content.startswith(b"PK\x03\x04"):
            return content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.namelist() if not _is_aside(member)]
            if any(PurePosixPath(member).name == "[Content_Types].xml" for member in members):
                raise DataError(f"{file}: is a workbook of a spreadsheet program; save the sheet as CSV there")
            if len(members) != 1:
                listed = ", ".join(members[:SHOWN]) + (", ..." if len(members) > SHOWN else "")
                held = f"{plural(len(members), 'file')} ({listed})" if members else "no file"
                raise DataError(f"{file}: holds {held}, expected one table; unpack the one to use")
            return content_of(archive, members[0], MOST_UNPACKED_BYTES)
    except TooLarge as error:
        raise DataError(f"{file}: {error}") from None
    except BROKEN_ZIP as error:
        raise DataError(f"{file}: cannot be read ({text_of(error)})") from error


def _is_aside(member: str) -> bool:
    """Whether a name in an archive is none that a person put there."""
    path = PurePosixPath(member)
    return member.endswith("/") or path.parts[0] == "__MACOSX" or path.name.startswith(".")


def _guessed_encoding(content: bytes) -> str | None:
    """UTF-16 where bytes without its mark look like it: every other byte of plain letters is zero."""
    begin = content[:GUESSED_BYTES]
    if 0 not in begin or any(content.startswith(start) for start, _ in ENCODINGS):
        return None
    return "utf-16-be" if begin[::2].count(0) > begin[1::2].count(0) else "utf-16-le"


def _decoded(file: Path, content: bytes, encoding: str | None) -> str:
    code = encoding or next((name for start, name in ENCODINGS if content.startswith(start)), None)
    try:
        return content.decode(code or "utf-8").removeprefix("\ufeff")
    except LookupError:
        raise DataError(
            f"{file}: encoding {encoding!r} (--encoding) is not known; expected one such as utf-8, utf-16 or cp1252"
        ) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        begin = content.rfind(b"\n", 0, error.start) + 1
        shown = content[begin : error.start + 20].splitlines()[0].decode("cp1252", errors="replace")[-60:]
        raise DataError(
            f"{file}, line {line}: is no text in {code or 'UTF-8'}; were it in Windows-1252, it would read {shown!r}: then say "
            'encoding="cp1252" (--encoding), or save the table as UTF-8'
        ) from None


def _delimiter(file: Path, text: str) -> str:
    """What splits every row into as many cells, two or more; where nothing does, what the first line has most of."""
    even: dict[str, list[list[str]]] = {}
    for mark in DELIMITERS:
        rows = _first_rows(text, mark)
        if rows and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            even[mark] = rows
    whole = [mark for mark, rows in even.items() if not _leaves_split(rows, [other for other in even if other != mark])]
    candidates = whole or [*even]
    if len(candidates) > 1:
        both = " and ".join(map(delimiter_words, candidates))
        raise DataError(f'{file}: {both} split its lines evenly; say which does with delimiter="{candidates[1]}" (--delimiter)')
    return candidates[0] if candidates else max(DELIMITERS, key=text.partition("\n")[0].count)


def _leaves_split(rows: Sequence[Sequence[str]], others: Sequence[str]) -> bool:
    """Whether a cell holds another delimiter, other than as the decimal mark of a number."""
    return any(mark in cell and not says_number(cell.strip()) for row in rows for cell in row for mark in others)


def _first_rows(text: str, mark: str) -> list[list[str]]:
    """The first rows that are not empty, split by this mark."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == SNIFFED_ROWS:
                break
    except csv.Error:
        return []
    return rows


def _rows(file: Path, text: str, mark: str, skipped_lines: int) -> tuple[list[int], list[list[str]]]:
    """The line that each row begins in, and its cells. skipped_lines: of the file, before the text."""
    before = csv.field_size_limit(MOST_CHARACTERS)
    lines: list[int] = []
    rows: list[list[str]] = []
    begins = 1 + skipped_lines
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True)
        for row in reader:
            lines.append(begins)
            rows.append([cell.strip() for cell in row])
            begins = reader.line_num + 1 + skipped_lines
    except csv.Error as error:
        raise DataError(
            f"{file}, line {begins}: cannot be read as CSV ({error}); a quotation mark within a cell is written twice"
        ) from error
    finally:
        csv.field_size_limit(before)
    return lines, rows


def _names_columns(file: Path, line: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns; one that may be values is refused. Names 0, 1, 2, ... are pandas's own."""
    first, rest = rows[0], rows[1:]
    named = [cell for cell in first if cell]
    if not rest or (len(first) > 2 and named == [str(place) for place in range(len(named))]):
        return True
    suspects = [cell for place, cell in enumerate(first) if says_number(cell) and _is_numeric(rest, place)]
    if not suspects and all(any(row[place] == cell for row in rest) for place, cell in enumerate(first)):
        suspects = [] if any(_is_numeric(rest, place) for place in range(len(first))) else list(first)
    if suspects:
        raise DataError(
            f"{file}, line {line}: looks like values ({', '.join(suspects[:3])}), not like names of columns; where it is a row, "
            "say header=False (--no-header), and where these are names, header=True (--header)"
        )
    return True


def _is_numeric(rows: Sequence[Sequence[str]], place: int) -> bool:
    return all(says_number(row[place]) or not row[place] for row in rows)


def _distinct(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of columns, blank and repeated ones made distinct, and what was renamed, in words."""
    names: list[str] = []
    renamed = []
    for place, cell in enumerate(cells, 1):
        name = cell or f"column {place}"
        while name in names:
            name = f"{name} {place}"
        names.append(name)
        if name != cell:
            why = f"has the name {cell!r} of another one" if cell else "has no name"
            renamed.append(f"column {place} {why}: it is {name!r}")
    return names, renamed

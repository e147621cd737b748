"""Data that is dropped in the browser: kept, read, shown column by column, and made a task of once its target is said."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from evenhand.errors import DataError, EvenhandError
from evenhand.model import extras
from evenhand.model.task import TaskSpec
from evenhand.runners import aside
from evenhand.tasks import dropped
from evenhand.tasks.dropped import DroppedData
from evenhand.web.entry import go
from evenhand.web.pages import render
from evenhand.web.runs import start_tasks
from evenhand.web.workbench.forms import Asked, asked_of

router = APIRouter()

MOST_PARTS = dropped.MOST_FILES + 10  # of an upload
USES = {"": "as it looks", "text": "as text", "keep": "keep it", "leave_out": "leave it out"}
READ_FIELDS = ("header", "delimiter", "decimal", "encoding", "missing", "classes")
# Which field an error is about, by the option that its words name.
FIELD_OF = (
    ("--delimiter", "delimiter"),
    ("--header", "header"),
    ("--no-header", "header"),
    ("--encoding", "encoding"),
    ("--decimal", "decimal"),
    ("--classes", "classes"),
    ("--numbers", "classes"),
    ("--missing", "missing"),
    ("target", "target"),
)
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "blank": " "}
DECIMALS = {"point": ".", "comma": ","}


@router.post("/start/data")
async def drop(request: Request) -> Response:
    """Keep a table, a zip of pictures, or a folder of them; then on to the page that shows what it was taken for."""
    form = await request.form(max_files=MOST_PARTS)
    files = [(file.filename or "", file.file) for file in form.getlist("data") if isinstance(file, UploadFile) and file.filename]
    try:
        data = await run_in_threadpool(_keep, files)
    finally:
        await form.close()
    address = f"/start/data/{data.id}"
    return JSONResponse({"go": address}) if "application/json" in request.headers.get("accept", "") else go(address)


def _keep(files: Any) -> DroppedData:
    if not files:
        raise DataError("no file came; choose a table (CSV, TSV, also zipped), or a folder or a zip archive of pictures")
    if len(files) == 1 and "/" not in files[0][0]:
        return dropped.keep_file(*files[0])
    return dropped.keep_folder(files)


@router.get("/start/data/{data_id}")
def data_page(request: Request, data_id: str) -> Response:
    """What was dropped, before anything is trained on it: what each column was taken for, and what is to be said of it."""
    return _page(request, dropped.get(data_id), {})


@router.post("/start/data/{data_id}")
async def say_of_data(request: Request, data_id: str) -> Response:
    """Read the data anew as the form says, or (`do`: "use") make a task of it, and go on to the form that starts a run."""
    asked = asked_of(await request.form())
    return await run_in_threadpool(_say_of, request, dropped.get(data_id), asked)


def _say_of(request: Request, data: DroppedData, asked: Asked) -> Response:
    if _text(asked, "do") != "use":
        return _page(request, data, asked)
    try:
        reading = _reading(asked) if data.is_table else {}
        path = task_file(data, _text(asked, "target") or None, reading)
    except EvenhandError as error:
        return _page(request, data, asked, error, 422)
    spec = TaskSpec(f"{path}:{dropped.TASK_NAME}")
    return go(f"/start?task={start_tasks.id_of(spec)}")


def task_file(data: DroppedData, target: str | None, reading: Mapping[str, Any]) -> Any:
    """The task file of the data read so: one that is there already, or a new one beside it."""
    name = re.sub(r"\W+", "_", data.source.stem, flags=re.ASCII).strip("_").lower() or "data"
    name = name if name[0].isalpha() else f"data_{name}"
    with dropped.coming() as fresh:
        text = aside.write_task(name, data.source, fresh, target, reading).read_text(encoding="utf-8")
    return data.keep_task(name, text)


def _page(request: Request, data: DroppedData, asked: Asked, error: EvenhandError | None = None, status: int = 200) -> Response:
    table, account = None, None
    columns: tuple[str, ...] = ()
    try:
        if data.is_table:
            reading = _reading(asked)
            columns = aside.column_names(data.source, reading)
            table = aside.table_facts(data.source, _target(asked, columns), reading)
            account = table.account
        else:
            account = aside.pictures_account(data.source)
    except EvenhandError as wrong:
        error, status = error or wrong, 422 if asked else 200
    problem = "" if error is None else _plain(str(error), data)
    return render(
        request,
        "runs/start_table.html" if data.is_table else "runs/start_pictures.html",
        status=status,
        data=data,
        account=account,
        table=table,
        columns=columns,
        target=_target(asked, columns) if columns else "",
        typed={name: _text(asked, name) for name in READ_FIELDS},
        uses=USES,
        use={column: _text(asked, f"use.{column}") for column in columns},
        problem=problem,
        wrong="" if error is None or not data.is_table else _field_of(str(error), columns),
        missing="" if data.is_table or extras.is_here("torch") else str(extras.missing("torch", "its training")),
        is_learnable=account is not None and error is None,
        here="Runs",
    )


def _target(asked: Asked, columns: Any) -> str:
    """The column to predict: the one that was said, else the last."""
    said = _text(asked, "target")
    return said if said in columns else columns[-1]


def _reading(asked: Asked) -> dict[str, Any]:
    """What was said of how to read a table, as `builders.table` takes it; what was left to be told from the file is left out."""
    reading: dict[str, Any] = {}
    for name, meant in (("header", {"yes": True, "no": False}), ("classes", {"yes": True, "no": False})):
        if _text(asked, name) in meant:
            reading[name] = meant[_text(asked, name)]
    for name, marks in (("delimiter", DELIMITERS), ("decimal", DECIMALS)):
        if _text(asked, name) in marks:
            reading[name] = marks[_text(asked, name)]
    if encoding := _text(asked, "encoding"):
        reading["encoding"] = encoding
    if missing := [text.strip() for text in _text(asked, "missing").split(",") if text.strip()]:
        reading["missing"] = missing
    for use in ("text", "keep", "leave_out"):
        named = [key.removeprefix("use.") for key in asked if key.startswith("use.") and _text(asked, key) == use]
        if named:
            reading[use] = named
    return reading


def _field_of(problem: str, columns: Any) -> str:
    """The field that an error is about; "" where it is about the whole."""
    named = next((field for option, field in FIELD_OF if option in problem), "")
    return named if named != "target" or columns else ""


def _plain(problem: str, data: DroppedData) -> str:
    """An error without the folders in which the data lies here, and without words for programs."""
    return re.sub(r" \(--[a-z-]+\)", "", problem.replace(f"{data.source.parent}/", ""))


def _text(asked: Asked, key: str) -> str:
    return next(iter(asked.get(key, ())), "")

"""Backups: a zip of every table at one moment, made and brought back while the laboratory goes on, and the list of erasures.

A backup holds `manifest.json` and one file of JSON lines a table. Where cells hold what their column should not, a table has the
closest values, and a second file of lines (`TABLE.odd.jsonl`) has these cells byte for byte. Whoever withdrew after it was made
stays erased when it is restored: every withdrawal is in the database, in the data directory's `erasures-KEY.jsonl`, and in a copy
beside each backup.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from evenhand import __version__
from evenhand.errors import DatabaseLost, DataError, EvenhandError, InvalidSettings, Refused
from evenhand.lab.backups import (
    TABLE_COLUMNS,
    TABLE_NAMES,
    BackupTrouble,
    Erasure,
    OddCell,
    Replaced,
    Row,
    RowsNoted,
    revisions,
    upgraded,
)
from evenhand.lab.lab import Lab, key_of
from evenhand.lab.places import Fault, FaultKind, fault_of, file_of
from evenhand.lab.served import HEARTBEAT_FILE
from evenhand.model import codec
from evenhand.model.files import BROKEN_ZIP, MOST_DOCUMENT_BYTES, TooLarge, bounded_lines, check_file, content_of
from evenhand.model.words import text_of
from evenhand.settings import private_folder

log = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "manifest.json"
MOST_ODD_BYTES = 1_000_000  # of a table's odd cells that wait in memory
NAME_PATTERN = re.compile(r"evenhand-(\d{8}T\d{6}Z)\.zip")
STAMP_FORMAT = "%Y%m%dT%H%M%SZ"
LEAST_FREE_BYTES = 1_000_000_000  # bytes that the disk shall have free
HOURLY_BACKUPS, DAILY_BACKUPS = 24, 14  # how many hours and days keep a backup
INTERVAL_SECONDS = 3600.0  # seconds between two backups of a live study
# Seconds for which a closed study counts as live: whoever was tuning goes on, and choices are evaluated.
AFTER_CLOSE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. made_at: seconds since the epoch.

    tables: rows and SHA-256 of each table's file; `odd` and `odd_sha256` where it has cells that are not what their column holds.
    """

    format: int
    version: str
    revision: str
    made_at: float
    tables: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Restored:
    """What a restore did: how many rows, how many people who withdrew since were erased again, and where the backup before is.

    replaced: what became of odd cells, and of rows that the database would not take.
    """

    rows: int
    erased: int
    safety: Path
    replaced: Replaced


# Out


def make(lab: Lab, folder: Path, data_dir: Path) -> Path:
    """A backup in a folder, named after its time; the list of erasures is brought up to date there. Its path."""
    private_folder(folder)
    at = lab.clock()
    while (path := folder / f"evenhand-{_stamp(at)}.zip").exists():
        at += 1
    return write(lab, path, data_dir)


def write(lab: Lab, path: Path, data_dir: Path) -> Path:
    """A backup at a path, which must be free. It is there when it is whole, and only its owner can read it."""
    if path.exists():
        raise Refused(f"{path} is there already; name another file, or a folder")
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            _write(lab, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(path.parent)
    note_erasures(lab, [data_dir, path.parent], also=read_erasures([data_dir]))
    return path


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(STAMP_FORMAT)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(lab: Lab, file: IO[bytes]) -> None:
    made_at, tables = lab.clock(), {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive, lab.backups.make() as rows:
        for name in TABLE_NAMES:
            tables[name] = _write_table(archive, name, rows)
        manifest = Manifest(FORMAT, __version__, revisions()[0], made_at, tables)
        archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))


def _write_table(archive: zipfile.ZipFile, name: str, rows: RowsNoted) -> dict[str, Any]:
    """A table's file, and one of its odd cells where it has any; what the manifest says of them."""
    with tempfile.SpooledTemporaryFile(MOST_ODD_BYTES) as odd:
        odd_lines, lines = _Lines(odd), None
        with archive.open(f"{name}.jsonl", "w", force_zip64=True) as out:
            lines = _Lines(out)
            for row in rows(name, lambda cell: odd_lines.add(cell.to_json())):
                lines.add(row)
        said: dict[str, Any] = {"rows": lines.count, "sha256": lines.digest.hexdigest()}
        if odd_lines.count:
            said |= {"odd": odd_lines.count, "odd_sha256": odd_lines.digest.hexdigest()}
            odd.seek(0)
            with archive.open(f"{name}.odd.jsonl", "w", force_zip64=True) as out:
                shutil.copyfileobj(odd, out)
    return said


class _Lines:
    """A file of JSON lines that is being written, with its count and sum."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.digest, self.count = hashlib.sha256(), 0

    def add(self, value: Row) -> None:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self.digest.update(line)
        self._out.write(line)
        self.count += 1


def odd_cells_of(path: Path) -> Mapping[str, int]:
    """By table, how many cells of a backup hold what their column should not; none for most."""
    with zipfile.ZipFile(path) as archive:
        return _odd_counts(Manifest(**json.loads(archive.read(MANIFEST))))


def _odd_counts(manifest: Manifest) -> Mapping[str, int]:
    return {name: table["odd"] for name, table in manifest.tables.items() if "odd" in table}


def odd_words(counts: Mapping[str, int]) -> str:
    """How many odd cells there are, and in which tables."""
    total, tables = sum(counts.values()), ", ".join(f"{name}: {count}" for name, count in counts.items())
    return f"{total} {'value is' if total == 1 else 'values are'} not what the column may hold ({tables})"


def replaced_words(replaced: Replaced) -> list[str]:
    """What a restore could not do as for all other rows, in words; empty where there was nothing."""
    lines = []
    if replaced.exact:
        lines.append(f"{replaced.exact} values that are not what the column may hold are back as they were, byte for byte")
    if replaced.closest:
        lines.append(f"{replaced.closest} such values are back as the closest that this database takes; the backup has them")
    if replaced.left_out:
        count, tables = sum(replaced.left_out.values()), ", ".join(f"{name}: {n}" for name, n in replaced.left_out.items())
        lines.append(
            f"{count} rows were left out, which the database does not take ({tables}): they refer to rows that are not there, or "
            "repeat what may be there once; the backup has them"
        )
    return lines


# In


class Backup:
    """A backup that was found whole: its words are right, and every table has the rows and the sum that it says.

    DataError where it is damaged or none at all, Refused where a newer Evenhand made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(check_file(path))
        except OSError as error:
            raise InvalidSettings(f"{path} cannot be read: {error.strerror}; expected a backup's .zip") from None
        except BROKEN_ZIP:
            raise self._damaged("it is no zip, or its end is missing") from None
        self.manifest = self._read_manifest()
        if self.manifest.revision not in revisions() or self.manifest.format > FORMAT:
            raise Refused(
                f"{path} was made by Evenhand {self.manifest.version} with tables of revision {self.manifest.revision!r}; this "
                f"version, {__version__}, knows them up to {revisions()[0]!r}. Restore it with a version as new as that"
            )
        self.is_newest = self.manifest.revision == revisions()[0]
        if self.is_newest and self.manifest.tables.keys() != TABLE_COLUMNS.keys():
            raise self._damaged(f"its tables are {sorted(self.manifest.tables)}, expected {sorted(TABLE_COLUMNS)}")
        for name in self.manifest.tables:
            self._check(name)

    @property
    def count(self) -> int:
        """How many rows it holds."""
        return sum(table["rows"] for table in self.manifest.tables.values())

    def rows(self, name: str) -> Iterator[Row]:
        """A table's rows, a line at a time."""
        with self._archive.open(f"{name}.jsonl") as lines:
            for line in lines:
                yield json.loads(line)

    def odd(self, name: str) -> Iterator[OddCell]:
        """A table's odd cells, in the order of its rows."""
        if "odd" in self.manifest.tables[name]:
            with self._archive.open(f"{name}.odd.jsonl") as lines:
                for line in lines:
                    yield OddCell.from_json(json.loads(line))

    @property
    def odd_count(self) -> int:
        """How many cells are odd."""
        return sum(_odd_counts(self.manifest).values())

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def _damaged(self, why: str) -> DataError:
        return DataError(f"{self.path} is no whole backup: {why}. Nothing was changed; restore another one")

    def _read_manifest(self) -> Manifest:
        try:
            return codec.from_json(Manifest, json.loads(content_of(self._archive, MANIFEST, MOST_DOCUMENT_BYTES)))
        except (KeyError, InvalidSettings, TooLarge, *BROKEN_ZIP) as error:
            raise self._damaged(f"its {MANIFEST} is missing or cannot be read ({text_of(error)})") from None

    def _check(self, name: str) -> None:
        said = self.manifest.tables[name]
        try:
            self._check_lines(f"table {name!r}", f"{name}.jsonl", said["rows"], said["sha256"], partial(self._check_row, name))
            if "odd" in said:
                what, file = f"list of odd cells of {name!r}", f"{name}.odd.jsonl"
                self._check_lines(what, file, said["odd"], said["odd_sha256"], OddCell.from_json)
        except (KeyError, TypeError, AttributeError, TooLarge, *BROKEN_ZIP) as error:
            raise self._damaged(f"its table {name!r} cannot be read ({text_of(error)})") from None

    def _check_row(self, name: str, row: Row) -> None:
        if self.is_newest and row.keys() != TABLE_COLUMNS[name]:
            raise ValueError(f"a row has the columns {sorted(row)}")

    def _check_lines(self, what: str, file: str, rows: int, sha256: str, check: Callable[[Row], object]) -> None:
        digest, count = hashlib.sha256(), 0
        with self._archive.open(file) as lines:
            for line in bounded_lines(lines, file):
                digest.update(line)
                count += 1
                check(json.loads(line))
        if (count, digest.hexdigest()) != (rows, sha256):
            raise self._damaged(f"its {what} is not what was written: {count} rows, expected {rows}")


def restore(lab: Lab, backup: Backup, data_dir: Path) -> Restored:
    """Put a backup in the place of all that the database holds, after a backup of that; a server goes on meanwhile.

    One write. Odd cells are written as they were; into PostgreSQL, or from an older backup, as the closest values. Whoever
    withdrew since, as this database or a list of erasures in the data directory or beside the backup knows, is erased again.
    """
    note_erasures(lab, [data_dir])
    folder = data_dir / "backups"
    private_folder(folder)
    safety = folder / f"before-restore-{_stamp(lab.clock())}-{secrets.token_hex(3)}.zip"
    write(lab, safety, data_dir)
    erasures = read_erasures([data_dir, backup.path.parent])
    with tempfile.TemporaryDirectory(dir=data_dir) as scratch:
        if backup.is_newest:
            done = lab.backups.restore(backup.rows, backup.odd, backup.manifest.made_at, erasures)
        else:
            past = backup.manifest
            with upgraded(Path(scratch) / "past.sqlite", past.revision, past.tables, backup.rows) as rows:
                done = lab.backups.restore(rows, lambda _: (), past.made_at, erasures)
            done.replaced.closest += backup.odd_count
    note_erasures(lab, [data_dir], also=erasures)
    return Restored(backup.count, done.erased, safety, done.replaced)


# Over a ruin


def check_start(url: str, data_dir: Path) -> None:
    """DatabaseLost where a server is to start on a database that is damaged, or was served before and is now emptied or gone.

    It says the newest backup that is known; what would go on from nothing does so only when the file is moved away.
    """
    path, alive = file_of(url), _heartbeat(url, data_dir)
    fault = _ruin(path, alive)
    if path is None or fault is None:
        return
    newest = next((backup for _, backup in _ours(data_dir / "backups")), None)
    way = (
        f"`evenhand restore {newest}` puts the newest backup in its place"
        if newest
        else "there is no backup in {}".format(data_dir / "backups")
    )
    said = (
        f"the database {path} was served here, and now {fault.words}" if alive.exists() else f"the database {path}: {fault.words}"
    )
    left = [str(file) for file in (path, alive) if file.exists()]
    kept = "; what is left of it is kept aside" if path.exists() else ""
    raise DatabaseLost(f"{said}. {way}{kept}. To begin anew without its records, move {' and '.join(left)} away")


def _heartbeat(url: str, data_dir: Path) -> Path:
    return data_dir / HEARTBEAT_FILE.format(key_of(url))


def _ruin(path: Path | None, alive: Path) -> Fault | None:
    """What is wrong with a database's file that lasts; of one that was never served, nothing is where it is empty or not there:
    it is new, or another process is just making it.
    """
    fault = fault_of(path) if path is not None else None
    if fault is None or not fault.lasts:
        return None
    return fault if alive.exists() or fault.kind is FaultKind.DAMAGED else None


def set_aside(url: str, data_dir: Path) -> Path | None:
    """Rename a database's file that is damaged, or was served and is empty, and what lies beside it: a backup can take its place.

    data_dir: where servers note what they serve. Where the file is now; None where nothing was wrong with it, or it is not there.
    """
    path = file_of(url)
    if path is None or not path.exists() or _ruin(path, _heartbeat(url, data_dir)) is None:
        return None
    stamp, aside = _stamp(time.time()), None
    while aside is None or aside.exists():
        aside = path.with_name(f"{path.name}.damaged-{stamp}" + (f"-{secrets.token_hex(2)}" if aside else ""))
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


# Who withdrew


def read_erasures(folders: Iterable[Path]) -> set[Erasure]:
    """Every withdrawal that a list in these folders tells of; a line that a crash cut off tells of none."""
    erasures = set()
    for folder in folders:
        for path in sorted(folder.glob("erasures-*.jsonl")):
            erasures |= _read_list(path)
    return erasures


def _read_list(path: Path) -> set[Erasure]:
    erasures = set()
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError, TypeError):
            erasures.add(Erasure(**json.loads(line)))
    return erasures


def note_erasures(lab: Lab, folders: Iterable[Path], also: Iterable[Erasure] = ()) -> None:
    """Append to the list of each folder who withdrew and is not in it yet; made where there is none, and brought to the disk."""
    known = {*lab.backups.withdrawals(), *also}
    for folder in folders:
        path = folder / f"erasures-{lab.key}.jsonl"
        missing = sorted(known - _read_list(path))
        if not missing:
            continue
        text = "".join(json.dumps(asdict(erasure), ensure_ascii=False) + "\n" for erasure in missing)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                text = text if file.read() == b"\n" else "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        _sync(folder)


# By itself


class Keeper:
    """Makes a backup an hour while a study is live and something changed, removes old ones, and lists who withdraws at once.

    troubles: what is wrong with the backups that were due last, by folder.
    """

    def __init__(self, lab: Lab, data_dir: Path) -> None:
        self._lab, self._data_dir = lab, data_dir
        self._known: Mapping[Path, int | None] = {}
        self.troubles: Mapping[Path, BackupTrouble] = {}
        self._changes = 0
        self._kept: dict[Path, tuple[int, int]] = {}  # by folder, what the newest backup there holds: changes and activity
        lab.on_change.append(self._note_change)
        lab.on_withdrawal.append(self._note_withdrawal)
        self._note_withdrawal()  # of another process, or of one that died between the withdrawal and its line

    def close(self) -> None:
        """Listen no more."""
        self._lab.on_change.remove(self._note_change)
        self._lab.on_withdrawal.remove(self._note_withdrawal)

    def look(self) -> None:
        """Make the backup that is due, if one is, in each folder that a live study names; none of a database with a fault, which
        would take a good one's place."""
        if self._lab.fault() is not None:
            return
        now = self._lab.clock()
        folders = self._folders(now)
        self.troubles = {folder: trouble for folder, trouble in self.troubles.items() if folder in folders}
        due = [folder for folder in sorted(folders) if not 0 <= now - _newest(folder) < INTERVAL_SECONDS]
        state = (self._changes, self._lab.backups.activity())
        for folder in due:
            if self._kept.get(folder) != state or not _ours(folder):
                self._try(folder, folders[folder], state)
            else:
                os.utime(_ours(folder)[0][1])  # it still holds everything, so nobody needs to be told that it is old

    def _try(self, folder: Path, study_id: int | None, state: tuple[int, int]) -> None:
        """Make a backup. One that fails is tried again at the next look, and stops none of the other folders'."""
        before = self.troubles.get(folder)
        others = {other: trouble for other, trouble in self.troubles.items() if other != folder}
        try:
            counts = odd_cells_of(self._make(folder))
            self._kept[folder] = state
            trouble = BackupTrouble(folder, odd_words(counts), False, study_id) if counts else None
        except Exception as error:
            trouble = BackupTrouble(folder, _why(error), True, study_id)
            if trouble != before:
                log.exception("the backup in %s failed; it is tried again each minute", folder)
        self.troubles = others if trouble is None else {**others, folder: trouble}

    def _make(self, folder: Path) -> Path:
        private_folder(folder)
        free = shutil.disk_usage(folder).free
        if free < LEAST_FREE_BYTES:
            raise Refused(f"its disk has {free / 1e6:.0f} MB free, and {LEAST_FREE_BYTES / 1e6:.0f} MB are asked for")
        made = make(self._lab, folder, self._data_dir)
        for path in outdated(folder):
            path.unlink(missing_ok=True)
        return made

    def _folders(self, now: float) -> Mapping[Path, int | None]:
        """Where backups go, and the study that names the folder, None where several do: of studies that are live, or were closed
        so lately that some people may go on. Where the studies cannot be read, as before, and into the data directory."""
        try:
            studies = self._lab.studies.all()
        except Exception:
            log.exception("the studies cannot be read; backups go where they went before, and into the data directory")
            return {**self._known, self._data_dir / "backups": None}
        folders: dict[Path, int | None] = {}
        for study in studies:
            closed = study.closed_at is not None and now - study.closed_at > AFTER_CLOSE_SECONDS
            if study.published_at is not None and not study.archived and not closed:
                given = study.backup.strip()
                folder = Path(given).expanduser() if given else self._data_dir / "backups"
                folders[folder] = None if folder in folders else study.id
        self._known = folders
        return folders

    def _note_change(self, session_id: int) -> None:
        self._changes += 1

    def _note_withdrawal(self) -> None:
        """In the data directory, and beside the backups that need it most. A folder that fails does not undo the withdrawal."""
        for folder in {self._data_dir, *self._folders(self._lab.clock())}:
            try:
                if folder.is_dir():
                    note_erasures(self._lab, [folder])
            except OSError:
                log.exception("the list of withdrawals in %s could not be written; the next backup tries again", folder)


def _why(error: Exception) -> str:
    """Why a backup failed, without paths: a study's webhook is told, too."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, EvenhandError) else f"{type(error).__name__}; the server's log says more"


def _newest(folder: Path) -> float:
    return next((at for at, _ in _ours(folder)), float("-inf"))


def _ours(folder: Path) -> list[tuple[float, Path]]:
    """Backups in a folder and when each was made, as their names say, the newest first."""
    names = ((NAME_PATTERN.fullmatch(path.name), path) for path in folder.glob("evenhand-*.zip"))
    made = [(datetime.strptime(name[1], STAMP_FORMAT).replace(tzinfo=UTC).timestamp(), path) for name, path in names if name]
    return sorted(made, reverse=True)


def outdated(folder: Path) -> list[Path]:
    """Backups to remove: none is the newest of one of the last 24 hours, or of the last 14 days, that have one."""
    hours: dict[float, Path] = {}
    days: dict[float, Path] = {}
    backups = _ours(folder)
    for at, path in backups:
        hours.setdefault(at // 3600, path)
        days.setdefault(at // 86_400, path)
    kept = {*list(hours.values())[:HOURLY_BACKUPS], *list(days.values())[:DAILY_BACKUPS]}
    return [path for _, path in backups if path not in kept]

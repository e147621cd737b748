"""Odd files into every reader: each answer is a reading that holds together, or one of Evenhand's own errors that names the file.

Whole small files are spoilt as damage, other programs and other machines spoil them (`odd_files`), with a seed that a failure
names; then come bytes that hypothesis makes. What a reader takes is bounded in time and in memory.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import re
import resource
import signal
import tarfile
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import optuna
import pytest
from hypothesis import strategies as st
from PIL import Image

from evenhand import settings, tasks
from evenhand.errors import EvenhandError
from evenhand.exchange import backup, public
from evenhand.exchange import optuna as optuna_exchange
from evenhand.exchange.archive import Package
from evenhand.exchange.codebook import MANIFEST, TABLES
from evenhand.exchange.foreign_runs import Opened, opened_runs
from evenhand.exchange.formats.base import Source, Wanted
from evenhand.experiments import predict
from evenhand.experiments.final_models import CARD as CARD_FILE
from evenhand.experiments.final_models import CARD_FORMAT
from evenhand.model.space_toml import load_space, text_of
from evenhand.model.task import TaskSpec
from evenhand.studies import file as study_file
from evenhand.tasks import builders, text_tables
from evenhand.tasks.builtin import eeg, images, patches, points
from evenhand.tasks.builtin.shapes import SPLITS
from evenhand.tasks.calibration import Draw, Drawn
from tests.components import need
from tests.exported import rich, write
from tests.labs import SPACE, make_lab, toy_study
from tests.odd_files import spoilt, spoilt_within
from tests.test_backup import took_part

SEED = 20_261_129
TRIES = 12  # spoilt files for each reader
BYTES_EXAMPLES = 6  # of hypothesis, for each reader
MOST_SECONDS = 10.0  # of one reading
MOST_MEMORY_BYTES = 1 << 30  # that one reading may ask for, beyond what is there
TABLE = "age;größe;färbung\n" + "".join(f"{20 + n},5;{n % 7}.000;{'rot' if n % 2 else 'blau'}\n" for n in range(30))
NOTES = "# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\nTERM,0,4,bckg,1\nTERM,4,8,seiz,1\n"
EEG = {"longer_than": 1.5, "piece": 1.0, "rate": 32.0, "high": 15.0, "train": 12, "validation": 4, "test": 4}


class Late(BaseException):
    """A reader that went on for longer than it may."""


@contextmanager
def bounded() -> Iterator[None]:
    """Within it, what goes on for too long is `Late`, and too much memory is a MemoryError."""

    def stop(*_: object) -> None:
        raise Late

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, handler)


@dataclass(frozen=True)
class Reader:
    """What reads files that a person names.

    make: fills a folder with whole files. file: the one of them that is spoilt. read: reads the folder, and asserts what every
    reading has to keep. named: what an error has to name, where it is not that file. again: makes what follows from the file,
    such as its checksums, anew once it is spoilt.
    """

    make: Callable[[Path], object]
    file: str
    read: Callable[[Path], object]
    named: str = ""
    again: Callable[[Path], object] | None = None
    tries: int = TRIES


READERS: dict[str, Reader] = {}


# Tables


def read_table(path: Path, **said: Any) -> None:
    made = builders.table(path, **said)
    assert made.x.shape == (len(made.y), len(made.features))
    assert not np.isinf(made.x).any()
    assert len(made.account.parts) > len(made.features)


def table(name: str, content: bytes, **said: Any) -> None:
    READERS[f"table {name}"] = Reader(
        lambda folder: (folder / f"x.{name}").write_bytes(content),
        f"x.{name}",
        lambda folder: read_table(folder / f"x.{name}", **said),
    )


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


FORMS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
PLAIN = TABLE.replace(",5", ".5").replace(".000", "").replace(";", ",")
table("comma.csv", PLAIN.encode())
table("semicolon.csv", TABLE.encode())
table("sep.csv", b"sep=;\r\n" + TABLE.replace("\n", "\r\n").encode("utf-8"))
table("tab.tsv", TABLE.replace(";", "\t").encode("utf-16"))
table("bar.csv", TABLE.replace(";", "|").encode("cp1252"), encoding="cp1252", delimiter="|", classes=True)
table("bare.csv", PLAIN.partition("\n")[2].encode(), header=False)
table("csv.gz", gzip.compress(PLAIN.encode()))
table("zip", zipped(x_csv=PLAIN.encode(), __MACOSX=b"aside"))


# Pictures


def pictures_in(folder: Path, kind: str, mode: str = "RGB", splits: bool = False) -> None:
    draw = np.random.default_rng(1)
    for number in range(12):
        values = draw.integers(0, 255, (9, 12, 3), np.uint8)
        image = Image.fromarray(values)
        if mode == "I;16":
            image = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
        elif mode != "RGB":
            image = image.convert(mode)
        place = folder / "set" / (("train", "val", "test")[number % 3] if splits else "") / "ab"[number // 3 % 2]
        place.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        path = place / f"{number}.{kind}"
        if kind in ("jpg", "png", "webp", "tif"):
            image.save(path, exif=exif)
        else:
            image.save(path)


def read_pictures(folder: Path) -> None:
    made = builders.pictures(folder / "set", 8)
    x, y = made.load("train")
    assert x.shape == (len(y), 8, 8, 3)
    assert sum(made.counts.values()) <= 12


for suffix, mode in {"png": "RGB", "jpg": "L", "gif": "P", "bmp": "RGB", "webp": "RGBA", "ppm": "RGB", "tif": "I;16"}.items():
    READERS[f"pictures {suffix}"] = Reader(partial(pictures_in, kind=suffix, mode=mode), f"set/a/0.{suffix}", read_pictures)
READERS["pictures 16 bit png"] = Reader(partial(pictures_in, kind="png", mode="I;16"), "set/a/0.png", read_pictures)


def tar_of(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    pictures_in(folder, "png", splits=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(folder / "set", arcname=".")
    (folder / "x.tar").write_bytes(pack(out.getvalue()))


def read_tar(folder: Path) -> None:
    made = images.prepare(str(folder / "x.tar"), 8, 0)
    x, y = made.load("train")
    assert x.shape == (len(y), 8, 8, 3)


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar gz": gzip.compress,
    "tar bz2": bz2.compress,
    "tar xz": lzma.compress,
}
for name, pack in PACKS.items():
    READERS[name] = Reader(partial(tar_of, pack=pack), "x.tar", read_tar)


# Patches


def patches_in(folder: Path) -> None:
    rows = ["file,slide,split"]
    for split in ("train", "dev", "eval"):
        for label in "ab":
            (folder / "set" / label).mkdir(parents=True, exist_ok=True)
            for number in range(2):
                name = f"{split}_{label}{number}.png"
                Image.new("RGB", (8, 8), (number, 9, 9)).save(folder / "set" / label / name)
                rows.append(f"{name},{split},{split}")
    (folder / "x.csv").write_text("\n".join(rows) + "\n")


def read_patches(folder: Path) -> None:
    given = {"data": str(folder / "set"), "table": str(folder / "x.csv"), "size": 8, "train": 4, "validation": 4, "test": 4}
    made = patches.prepare(patches.settings_from(given))
    assert set(made.classes) == {"a", "b"}


READERS["patches table"] = Reader(patches_in, "x.csv", read_patches, "x.csv|set")


# EEG


def recordings_in(folder: Path, kind: str = "C") -> None:
    edfio = need("edfio")
    draw = np.random.default_rng(2)
    for patient in "abc":
        place = folder / "set" / patient
        place.mkdir(parents=True)
        drawn = [edfio.EdfSignal(draw.normal(0, 50, 8 * 64), 64, label=f"EEG {name}-REF") for name in ("FP1", "O2")]
        notes = [edfio.EdfAnnotation(1.0, 2.0, "Lid{schlag}")] if kind == "+" else None
        edfio.Edf(drawn, annotations=notes).write(place / f"{patient}_1.edf")
        (place / f"{patient}_1.csv_bi").write_text(NOTES)


def read_eeg(folder: Path, **said: Any) -> None:
    made = eeg.prepare(eeg.settings_from({"data": str(folder / "set"), **EEG, **said}))
    x, y = made.load("train")
    assert len(x) == len(y) == made.counts["train"]
    assert np.isfinite(x).all()


CHANNELS = {"channels": ["FP1", "O2", "FP1-O2"]}
LACKING = "a_1|set"
READERS["EDF"] = Reader(recordings_in, "set/a/a_1.edf", lambda folder: read_eeg(folder, **CHANNELS), LACKING)
READERS["EDF+"] = Reader(
    lambda folder: recordings_in(folder, "+"), "set/a/a_1.edf", lambda folder: read_eeg(folder, **CHANNELS), LACKING
)
READERS["annotations"] = Reader(recordings_in, "set/a/a_1.csv_bi", lambda folder: read_eeg(folder, **CHANNELS), LACKING)


def series_in(folder: Path) -> None:
    (folder / "set").mkdir()
    draw = np.random.default_rng(3)
    for part, count in (("TRAIN", 12), ("TEST", 6)):
        lines = ["# größe", "@problemName x", "@timestamps false", "@classLabel true a b", "@data"]
        for number in range(count):
            channels = [",".join(f"{value:.3f}" for value in draw.normal(0, 1, 64)) for _ in range(2)]
            lines.append(":".join([*channels, "ab"[number % 2]]))
        (folder / "set" / f"X_{part}.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")


READERS["ts"] = Reader(series_in, "set/X_TRAIN.ts", lambda folder: read_eeg(folder, source_rate=64.0), "X_TRAIN|X_TEST|set")


# Points


def points_in(folder: Path) -> None:
    draw = np.random.default_rng(4)
    (folder / "set").mkdir()
    for split in ("train", "dev", "eval"):
        rows = [f"{'ab'[n % 2]},{x:.4f},{y:.4f}" for n, (x, y) in enumerate(draw.normal(0, 1, (12, 2)))]
        (folder / "set" / f"{split}.csv").write_text("# größe\nclass,x,y\n" + "\n".join(rows) + "\n", encoding="utf-8")


def read_points(folder: Path) -> None:
    made = points.locate(str(folder / "set"))
    for split in SPLITS:
        x, y = made.part(split)
        assert x.shape == (len(y), made.features)
        assert np.isfinite(x).all()


READERS["points"] = Reader(points_in, "set/train.csv", read_points, "set")


# What other programs keep


@cache
def optuna_files() -> dict[str, bytes]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for place in (f"sqlite:///{folder}/x.sqlite", f"{folder}/x.log"):
            study = optuna.create_study(storage=optuna_exchange.storage_of(place), study_name="größe")
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 3), n_trials=4)
        for name in ("x.sqlite", "x.log"):
            made[name] = (Path(folder) / name).read_bytes()
    return made


def read_optuna(place: str) -> None:
    """As `evenhand open` does, measurements and all."""
    with Source(place) as source:
        for run in opened_runs(source, Wanted()):
            if isinstance(run, Opened):
                assert run.session.trials
                assert all(point.index >= 0 for _, point in run.measurements())


READERS["Optuna's database"] = Reader(
    lambda folder: (folder / "x.sqlite").write_bytes(optuna_files()["x.sqlite"]),
    "x.sqlite",
    lambda folder: read_optuna(f"sqlite:///{folder}/x.sqlite"),
    "x.sqlite|größe|study",
    tries=TRIES // 3,
)
READERS["Optuna's journal"] = Reader(
    lambda folder: (folder / "x.log").write_bytes(optuna_files()["x.log"]),
    "x.log",
    lambda folder: read_optuna(f"{folder}/x.log"),
    "x.log|größe|study",
)


# Archives and backups


@cache
def archives() -> dict[str, bytes]:
    """One study in each format, as a zip."""
    with tempfile.TemporaryDirectory() as folder:
        lab, clock = make_lab(f"sqlite:///{folder}/lab.sqlite")
        study = rich(lab, clock)
        made = {form: write(lab, study, Path(folder) / f"{form}.zip", form=form).read_bytes() for form in FORMS}
        lab.close()
        return made


def archive_folder(folder: Path, form: str) -> None:
    with zipfile.ZipFile(io.BytesIO(archives()[form])) as packed:
        packed.extractall(folder / "set")


def hash_again(folder: Path) -> None:
    manifest = folder / "set" / MANIFEST
    said = json.loads(manifest.read_bytes())
    said["sha256"] = {name: hashlib.sha256((folder / "set" / name).read_bytes()).hexdigest() for name in said["sha256"]}
    manifest.write_text(json.dumps(said))


def read_archive(path: Path) -> None:
    package = Package(path)
    assert package.archive.sessions or not package.archive.participants
    for _ in package.measurements():
        pass
    for _ in package.events():
        pass


def archive(form: str) -> None:
    tables = TABLES if form != "parquet" else ("trials", "events")  # which its own library reads, one as the other
    for name in ("study.json", *(f"{table}{FORMS[form]}" for table in tables)):
        READERS[f"archive {form} {name}"] = Reader(
            lambda folder: archive_folder(folder, form),
            f"set/{name}",
            lambda folder: read_archive(folder / "set"),
            "set",
            hash_again,
            TRIES // 3,
        )
    READERS[f"archive {form} zip"] = Reader(
        lambda folder: (folder / "x.zip").write_bytes(archives()[form]),
        "x.zip",
        lambda folder: read_archive(folder / "x.zip"),
    )


for form in FORMS:
    archive(form)
READERS["archive manifest"] = Reader(
    lambda folder: archive_folder(folder, "csv"), f"set/{MANIFEST}", lambda folder: read_archive(folder / "set"), "set"
)
READERS["reviewed list"] = Reader(
    lambda folder: (folder / "x.csv").write_text("id,where,count,text,publish\nab12,b.words,1,größe,yes\ncd34,b.words,2,b,no\n"),
    "x.csv",
    lambda folder: list(public.approved(folder / "x.csv")),
)


@cache
def backup_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        lab, _ = make_lab(f"sqlite:///{folder}/lab.sqlite")
        took_part(lab, toy_study(lab), "größe")
        made = backup.make(lab, Path(folder) / "kept", Path(folder)).read_bytes()
        lab.close()
        return made


def read_backup(folder: Path) -> None:
    made = backup.Backup(folder / "x.zip")
    try:
        for name in made.manifest.tables:
            assert len(list(made.rows(name))) == made.manifest.tables[name]["rows"]
            list(made.odd(name))
    finally:
        made.close()


READERS["backup"] = Reader(lambda folder: (folder / "x.zip").write_bytes(backup_file()), "x.zip", read_backup)


# Settings, spaces, studies and what a program keeps

READERS["space"] = Reader(
    lambda folder: (folder / "x.toml").write_text(text_of(SPACE) + '\n# größe\n["a.b"]\ntype = "choice"\noptions = ["x", 1]\n'),
    "x.toml",
    lambda folder: load_space(folder / "x.toml"),
)


def read_study(folder: Path) -> None:
    declared = study_file.read(folder / "set")
    for mistake in declared.mistakes:
        assert str(mistake)


for name in ("study.toml", "consent.md"):
    READERS[f"study {name}"] = Reader(
        lambda folder: study_file.new(folder / "set", TaskSpec("digits"), 1), f"set/{name}", read_study, "study.toml|set"
    )


def read_settings(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(folder))
        settings.public_address()


READERS["settings"] = Reader(
    lambda folder: (folder / "settings.toml").write_text(
        'public_url = "https://a.example/b"\nproxies = ["127.0.0.1"]\nlink_hours = 3\n'
    ),
    "settings.toml",
    read_settings,
)
PURPOSE = {"purpose": "x", "seed": 1}


def draws_in(folder: Path) -> None:
    kept = Drawn(folder / "x.jsonl", PURPOSE)
    for number in range(3):
        kept.add(Draw(1, number, {"epochs": 3}, "completed", 0.5, 1.0, 1.0))


READERS["draws"] = Reader(draws_in, "x.jsonl", lambda folder: Drawn(folder / "x.jsonl", PURPOSE))


def task_in(folder: Path) -> None:
    (folder / "x.py").write_text(
        "# größe\nfrom evenhand import Float, Hyperparameter, Space, task\n\n\n"
        '@task(space=Space([Hyperparameter("x", Float(0, 1))]), metric="loss", direction="minimize", max_epochs=1)\n'
        "def train(configuration, run):\n    run.report(epoch=1, loss=configuration['x'])\n"
    )


READERS["task"] = Reader(task_in, "x.py", lambda folder: tasks.load(TaskSpec(f"{folder}/x.py:train")))
READERS["table to predict"] = Reader(
    lambda folder: (folder / "x.csv").write_text(PLAIN), "x.csv", lambda folder: predict.read(folder / "x.csv")
)
CARD = {
    "format": CARD_FORMAT,
    "session": 1,
    "files": {},
    "task": {"name": "x", "settings": {}, "version": "v", "load first": False},
    "data": {"features": 2},
    "columns": [],
}


def read_model(folder: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{folder}/lab.sqlite")
    try:
        predict.predict(lab, str(folder / "set"), folder / "x.csv")
    finally:
        lab.close()


def model_in(folder: Path) -> None:
    (folder / "set").mkdir()
    (folder / "set" / CARD_FILE).write_text(json.dumps(CARD))
    (folder / "x.csv").write_text(PLAIN)


READERS["final model's card"] = Reader(model_in, f"set/{CARD_FILE}", read_model, "set", tries=TRIES // 3)


# The tests

PLACES: dict[str, Callable[[Path], object]] = {  # what may lie where a file is expected
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("absent"),
    "a file without end": lambda path: path.symlink_to("/dev/zero"),
    "an empty file": lambda path: path.touch(),
}


def answer(reader: Reader, folder: Path) -> str:
    """What is wrong with what a reader answers; nothing where it is right."""
    try:
        with bounded():
            reader.read(folder)
    except EvenhandError as error:
        wanted = reader.named or re.escape(Path(reader.file).name)
        return "" if re.search(wanted, str(error)) and len(str(error)) > 30 else f"names no {wanted}: {error!r}"
    except Late:
        return f"goes on for more than {MOST_SECONDS:g} s"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)[:0:-1]
        return f"{error!r:.300} at " + " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[:6])
    return ""


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "given"
    place.mkdir()
    return place


def made(name: str, folder: Path) -> tuple[Reader, Path]:
    """A reader whose whole files lie in the folder, and which of them is spoilt."""
    reader = READERS[name]
    if name.startswith("EDF") or name == "annotations":
        need("edfio")
    reader.make(folder)
    return reader, folder / reader.file


def spoil(reader: Reader, path: Path, content: bytes, folder: Path) -> str:
    """What is wrong with the answer where this is in the file's place; nothing where it is right."""
    path.write_bytes(content)
    if reader.again:
        reader.again(folder)
    said = answer(reader, folder)
    return said and f"{said}\n    {content[:300]!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_spoilt_files_are_read_or_refused(name: str, folder: Path) -> None:
    reader, path = made(name, folder)
    whole, mishaps = path.read_bytes(), []
    first = spoil(reader, path, whole, folder)
    assert name == "final model's card" or not first, first
    for number in range(reader.tries):
        draw = random.Random(f"{SEED} {name} {number}")
        content = (spoilt_within if number % 2 else spoilt)(whole, draw)
        if said := spoil(reader, path, content if content != whole else spoilt(whole, draw), folder):
            mishaps.append(f"case {number}: {said}")
    assert not mishaps, f"{len(mishaps)} of {name}\n" + "\n".join(mishaps[:12])


def test_a_final_model_without_its_predictor_says_so(folder: Path) -> None:
    reader, _ = made("final model's card", folder)
    with pytest.raises(EvenhandError, match=r"cannot predict: model.joblib is not there"):
        reader.read(folder)


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.again is None])
def test_what_is_no_file_is_refused(name: str, folder: Path) -> None:
    reader, path = made(name, folder)
    path.unlink()
    mishaps = []
    for what, put in PLACES.items():
        put(path)
        if said := answer(reader, folder):
            mishaps.append(f"{what}: {said}")
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    assert not mishaps, "\n".join(mishaps)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.again is None and reader.tries == TRIES])
def test_bytes_of_any_kind_are_refused(name: str, folder: Path) -> None:
    reader, path = made(name, folder)
    whole = path.read_bytes()

    @hypothesis.settings(max_examples=BYTES_EXAMPLES, derandomize=True, database=None)
    @hypothesis.given(st.binary(max_size=400), st.integers(0, 12))
    def check(content: bytes, begun: int) -> None:
        said = spoil(reader, path, whole[:begun] + content, folder)
        assert not said, said

    check()


def test_a_pipe_among_pictures_is_refused_and_not_waited_for(folder: Path) -> None:
    pictures_in(folder, "png")
    os.mkfifo(folder / "set" / "a" / "z.png")
    with pytest.raises(EvenhandError, match=r"a/z.png: is a pipe, a socket or a device, expected files"), bounded():
        read_pictures(folder)


def test_what_unpacks_to_more_than_it_may_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenhand.tasks.text_tables.MOST_UNPACKED_BYTES", 3 << 20)
    content = b"a,b\n" + b"1,2\n" * (1 << 20)
    (folder / "x.csv.gz").write_bytes(gzip.compress(content))
    (folder / "x.zip").write_bytes(zipped(x_csv=content))
    for name in ("x.csv.gz", "x.zip"):
        with pytest.raises(
            EvenhandError, match=rf"{name}: x.csv.* unpacks to more than 3 MB; unpack it, and give the file itself"
        ):
            text_tables.read(folder / name)


def test_a_line_or_a_document_without_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenhand.model.files.MOST_LINE_BYTES", 1 << 16)
    monkeypatch.setattr("evenhand.exchange.archive.MOST_DOCUMENT_BYTES", 1 << 16)
    archive_folder(folder, "jsonl")
    study, trials = folder / "set" / "study.json", folder / "set" / "trials.jsonl"
    trials.write_bytes(b" " * (1 << 17) + trials.read_bytes())
    hash_again(folder)
    with pytest.raises(EvenhandError, match=r"set: trials.jsonl has a line of more than 0 MB"):
        Package(folder / "set")
    study.write_bytes(study.read_bytes() + b" " * (1 << 17))
    hash_again(folder)
    with pytest.raises(EvenhandError, match=r"set: study.json: not JSON \(study.json unpacks to more than 0 MB"):
        Package(folder / "set")

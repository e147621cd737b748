"""The EEG task: a ConvNet with LSTM tells seizures from background in pieces of EEG, split by patient.

It is made for data set #12 of "On Automating Hyperparameter Optimization for Deep Learning Applications", which comes from the
TUH EEG Seizure Corpus and has to be asked for there; a pair of `.ts` files of any labelled signals is read as well, to try things
out. docs/tasks.md says what the paper leaves open.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.digest import digest
from evenhand.model.rules import derive_seed
from evenhand.model.words import plural
from evenhand.tasks import accounts, readers, versions
from evenhand.tasks.accounts import DataAccount, Taken
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import convlstm, convnet, groups, images, signals
from evenhand.tasks.builtin.groups import GroupedExample
from evenhand.tasks.builtin.signals import BACKGROUND, SEIZURE, Values
from evenhand.tasks.run import Run
from evenhand.tasks.settings import checked, number, text, whole

NAME = "eeg"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
LAYOUT = "EDF recordings with annotations beside them (NAME.edf and NAME.csv_bi), or NAME_TRAIN.ts and NAME_TEST.ts"
FORMAT = 2  # counted up when the preparation changes, so that older prepared folders are not used


@dataclass(frozen=True)
class EegSettings:
    """What belongs to a version of the task and is never tuned. Frequencies are in Hz, lengths in seconds.

    data: a folder. patient: a regular expression whose one group, searched in a recording's name, is its patient. channels:
    names, or differences of two such as FP1-F7; None: the 20 of signals.MONTAGE for EDF, all for `.ts`. low, high: the band that
    is kept. rate: what is sampled down to afterwards. source_rate: that of `.ts` files, which do not say it. longer_than, piece:
    only longer segments are used, and cut into pieces of that length (`.ts` cases are taken whole). frame, window: every `frame`
    seconds begins a window. train, validation, test: the most pieces of each split, all classes together. max_weights: networks
    with more are invalid.
    """

    data: str = ""
    patient: str = r"^([^_.]+)"
    channels: tuple[str, ...] | None = None
    low: float = 0.5
    high: float = 30.0
    rate: float = 100.0
    source_rate: float | None = None
    longer_than: float = 15.0
    piece: float = 10.0
    frame: float = 0.5
    window: float = 1.0
    train: int = 10_000
    validation: int = 2_500
    test: int = 2_500
    split_seed: int = 0
    max_weights: int = 20_000_000
    least_epochs: int = convnet.EPOCHS_LEAST
    max_epochs: int = convnet.EPOCHS_MOST

    @property
    def sizes(self) -> dict[str, int]:
        """The most pieces of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


_hertz, _seconds = number(1e-3, 1e6), number(1e-3, 1e5)
CHECKS = {
    "data": text("the path of a folder"),
    "patient": text("a regular expression with one group"),
    "channels": (
        lambda v: (
            v is None or (isinstance(v, list | tuple) and bool(v) and all(isinstance(channel, str) and channel for channel in v))
        ),
        "a list of names, such as FP1 or FP1-F7, or null",
    ),
    **dict.fromkeys(("low", "high", "rate"), _hertz),
    "source_rate": (lambda v: v is None or _hertz[0](v), f"{_hertz[1]}, or null"),
    **dict.fromkeys(("longer_than", "piece", "frame", "window"), _seconds),
    **{name: whole(2, 10_000_000) for name in images.SPLITS},
    "split_seed": whole(0, 2**31 - 1),
    "max_weights": whole(1, 10**10),
    "least_epochs": whole(1, 9_999),
    "max_epochs": whole(2, 10_000),
}


def settings_from(raw: Mapping[str, Any]) -> EegSettings:
    """The settings that `raw` holds; those left out have their defaults. InvalidSettings lists all that are wrong."""
    given = checked(NAME, raw, CHECKS)
    if given.get("channels") is not None:
        given["channels"] = tuple(channel.upper() for channel in given["channels"])
    settings = EegSettings(**given)
    wrong = []
    if not settings.data:
        wrong.append(f"data is missing; give the folder that holds {LAYOUT}")
    if settings.low >= settings.high:
        wrong.append(f"low is {settings.low:g} Hz, expected less than high, {settings.high:g} Hz")
    if settings.high > settings.rate / 2:
        wrong.append(f"high is {settings.high:g} Hz, expected at most half of rate, {settings.rate:g} Hz, which holds no more")
    if settings.piece > settings.longer_than:
        wrong.append(f"piece is {settings.piece:g} s, expected at most longer_than, {settings.longer_than:g} s")
    if settings.least_epochs >= settings.max_epochs:
        wrong.append(f"least_epochs is {settings.least_epochs}, expected less than max_epochs")
    if wrong:
        raise InvalidSettings(f"settings of {NAME}: {'; '.join(wrong)}")
    return settings


@dataclass(frozen=True)
class PreparedWindows:
    """Splits made ready for training.

    counts, patients: pieces of each split, and patients (for `.ts` cases) that they come from; samples: of one piece; mean, std:
    of each channel over the training pieces; arrays: SHA-256 of each split's pieces and labels.
    """

    folder: Path
    checksum: str
    classes: tuple[str, ...]
    channels: int
    samples: int
    counts: dict[str, int]
    patients: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    arrays: dict[str, str]

    def load(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Pieces (N, channels, samples), filtered and not yet normalised, and class numbers (N,) of one split."""
        return np.load(self.folder / f"{split}.npy", mmap_mode="c"), np.load(self.folder / f"{split}-labels.npy")


def load(raw: Mapping[str, Any]) -> Task:
    """The task with these settings. Its data is prepared on the first call, which may take minutes; later calls are quick."""
    given = settings_from(raw)
    settings = replace(given, data=str(Path(given.data).expanduser().resolve()))
    prepared = prepare(settings)
    windows = cut(prepared, settings)
    full = {**asdict(settings), "channels": None if settings.channels is None else list(settings.channels)}
    fixed = {name: value for name, value in full.items() if name != "data"}
    space = convlstm.space(prepared.counts["train"], (settings.least_epochs, settings.max_epochs))
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, fixed, space.digest, prepared.arrays),
        space=space,
        metric="accuracy",
        direction="maximize",
        max_epochs=settings.max_epochs,
        train=partial(_train, prepared, settings, windows),
        data=partial(images.splits, prepared.folder, prepared.load),
        test_data=digest([prepared.checksum, settings.split_seed]),
        settings=full,
        statistics=describe(prepared, settings, windows),
        example=convnet.example(convlstm.EXAMPLE, prepared.counts["train"], settings.least_epochs),
    )


def cut(prepared: PreparedWindows, settings: EegSettings) -> convlstm.Windows:
    """The windows of a piece; InvalidSettings where one is longer than the piece, or shorter than a sample."""
    length, hop = round(settings.window * settings.rate), round(settings.frame * settings.rate)
    if not 1 <= length <= prepared.samples:
        most = prepared.samples / settings.rate
        raise InvalidSettings(
            f"settings of {NAME}: window is {settings.window:g} s, expected from {1 / settings.rate:g} to {most:g}, one piece"
        )
    if hop < 1:
        raise InvalidSettings(
            f"settings of {NAME}: frame is {settings.frame:g} s, expected at least a sample, {1 / settings.rate:g} s"
        )
    return convlstm.windows_of(prepared.channels, prepared.samples, length, hop)


def describe(prepared: PreparedWindows, settings: EegSettings, windows: convlstm.Windows) -> dict[str, int | str]:
    """What tuners may know of the data: its statistics, never its name or its classes' names."""
    words = {"train": "training", "validation": "validation", "test": "test"}
    return {
        "classes": len(prepared.classes),
        **{f"{words[split]} pieces": count for split, count in prepared.counts.items()},
        **{f"{words[split]} sources": count for split, count in prepared.patients.items()},
        "channels": prepared.channels,
        "piece": f"{prepared.samples} samples at {settings.rate:g} Hz",
        "windows": f"{windows.count} of {windows.length} samples, one every {windows.hop}",
    }


@dataclass(frozen=True)
class Piece:
    """One example to be: a file, where in it (EDF: seconds; `.ts`: the case's number), and its class."""

    file: Path
    start: float
    label: str


def prepare(settings: EegSettings) -> PreparedWindows:
    """The pieces as fixed splits by patient, filtered and stored on the first call.

    Raises:
        DataError: there is no such folder, a file in it is damaged or has no annotations, or there are too few patients.
    """
    path = Path(settings.data)
    if not path.is_dir():
        raise DataError(f"data {settings.data!r}: there is no such folder; give the folder that holds {LAYOUT}")
    checksum = images.checksum_of(path)
    later = ("frame", "window", "max_weights", "least_epochs", "max_epochs")  # what is decided after the preparation
    content = {name: value for name, value in asdict(settings).items() if name not in later}
    folder = images.home() / "prepared" / f"eeg-{digest({**content, 'data': checksum, 'format': FORMAT})[:20]}"

    def make(fresh: Path) -> None:
        recordings = recordings_in(path)
        members = from_recordings(recordings, settings, path) if recordings else from_series(path, settings)
        chosen = groups.divide(members, settings.sizes, derive_seed(settings.split_seed, "patients"), "patient")
        values = values_of_recordings if recordings else values_of_series
        _write(chosen, values, settings, checksum, fresh)
        accounts.keep(account_of(path, settings, recordings, members, chosen), fresh)

    images.made_once(folder, make, path)
    return read(folder)


def read(folder: Path) -> PreparedWindows:
    """The prepared set in `folder`."""
    meta = json.loads((folder / "meta.json").read_text())
    for name in ("classes", "mean", "std"):
        meta[name] = tuple(meta[name])
    return PreparedWindows(folder=folder, **meta)


def account_of(
    path: Path,
    settings: EegSettings,
    recordings: Sequence[Path],
    members: Sequence[GroupedExample[Piece]],
    chosen: Mapping[str, Sequence[GroupedExample[Piece]]],
) -> DataAccount:
    """What a folder of EEG was taken for: a line for each class, remarks on recordings, gaps and what was passed over."""
    counts = {split: Counter(member.label for member in drawn) for split, drawn in chosen.items()}
    parts = []
    for label in sorted({member.label for member in members}):
        own = [member for member in members if member.label == label]
        holds = ", ".join(f"{plural(counted[label], 'piece')} for {split}" for split, counted in counts.items())
        parts.append(Taken(label, "a class", holds, 0, accounts.first_of(member.example.file.name for member in own)))
    remarks = []
    used = sum(map(len, chosen.values()))
    if used < len(members):
        remarks.append(
            f"{plural(len(members) - used, 'piece')} of {len(members)} are left out, so that a split has as many of each "
            "class, and is as large as was asked for"
        )
    own_files = {member.example.file for member in members}
    if recordings:
        opened = [(file, signals.opened(file)) for file in recordings]
        kinds = accounts.counts_of(recording.format for _, recording in opened)
        rates = accounts.counts_of(
            f"{float(channel.sampling_frequency):g} Hz" for _, recording in opened for channel in recording.channels.values()
        )
        remarks.append(f"{plural(len(opened), 'recording')}: {kinds}; channels: {rates}")
        used_names = settings.channels or signals.MONTAGE
        remarks.append(f"channels used: {', '.join(used_names)}")
        gaps = [(file, recording) for file, recording in opened if len(recording.stretches) > 1]
        if gaps:
            file, recording = gaps[0]
            remarks.append(
                f"{plural(len(gaps), 'recording')} with gaps, such as {file.name} ({recording.gap_words}); no piece spans one"
            )
        if unused := [file for file in recordings if file not in own_files]:
            remarks.append(
                f"{plural(len(unused), 'recording')} without a segment longer than {settings.longer_than:g} s: "
                f"{accounts.listed([file.name for file in unused])}"
            )
    else:
        counted = {file: signals.not_utf8_lines(file) for file in sorted(own_files)}
        remarks += [
            f"{file.name}: {plural(count, 'line')} of it {'is' if count == 1 else 'are'} no UTF-8, and read as Latin-1"
            for file, count in counted.items()
            if count
        ]
    others = [file for file in readers.files_below(path) if _is_other(file.relative_to(path), bool(recordings))]
    if others:
        kinds = accounts.counts_of(file.suffix.lower() or "no suffix" for file in others)
        remarks.append(f"{plural(len(others), 'file')} passed over: {kinds}")
    what = plural(len(own_files), "recording" if recordings else "file")
    source = f"{path}: {plural(len(members), 'piece')} of {what}, {plural(len(parts), 'class', 'classes')}"
    return DataAccount(source, tuple(parts), tuple(remarks), "class")


def _is_other(place: Path, is_edf: bool) -> bool:
    """Whether a file of the folder is neither data nor annotations of it, nor what programs keep beside them."""
    known = (".edf", *signals.ANNOTATIONS) if is_edf else (".ts",)
    return readers.is_of_the_data(PurePosixPath(place.as_posix())) and place.suffix.lower() not in known


def recordings_in(path: Path) -> list[Path]:
    """The EDF files of a folder and those in it, ordered by path; what programs keep beside them, such as ._x.edf, is none."""
    return [
        file
        for file in readers.files_below(path)
        if file.suffix.lower() == ".edf" and readers.is_of_the_data(PurePosixPath(file.relative_to(path).as_posix()))
    ]


def from_recordings(recordings: Sequence[Path], settings: EegSettings, root: Path) -> list[GroupedExample[Piece]]:
    """Every piece that the recordings' annotations give, with its patient and, where folders are named so, its split."""
    pattern = _pattern(settings.patient)
    _check_channels(recordings, settings.channels or signals.MONTAGE)
    members = []
    for path in recordings:
        match = pattern.search(path.name)
        if match is None or not match[1]:
            raise DataError(f"patient {settings.patient!r}: finds no patient in the name of {path}; change the expression")
        place = [readers.SPLIT_NAMES[part] for part in path.relative_to(root).parts[:-1] if part in readers.SPLIT_NAMES]
        split = place[0] if place else None
        members += [GroupedExample(piece, match[1], piece.label, split) for piece in of_recording(path, settings)]
    if not members:
        raise DataError(f"{root}: holds no annotated segment that is longer than {settings.longer_than:g} s")
    return members


def _check_channels(recordings: Sequence[Path], wanted: Sequence[str]) -> None:
    lacking: list[tuple[Path, list[str], list[str]]] = []
    for path in recordings:  # one at a time: a recording that is kept keeps its file open
        recording = signals.opened(path)
        if missing := recording.missing(wanted):
            lacking.append((path, missing, list(recording.channels)))
    if lacking:
        path, missing, names = lacking[0]
        raise DataError(
            f"{len(lacking)} of {len(recordings)} recordings lack a channel, such as {path}, which lacks {', '.join(missing)} "
            f"and has {', '.join(names)}; name those to use by the setting channels, or take these recordings out of the folder"
        )


def of_recording(path: Path, settings: EegSettings) -> list[Piece]:
    """The pieces of one recording, in order; segments are cut at its end, and at its gaps."""
    notes = signals.annotations_of(path)
    said = signals.annotated(notes)
    recording = signals.opened(path)
    duration = recording.duration
    last = max((stop for _, stop in (*said.seizure, *said.background)), default=0.0)
    if last > duration + signals.OVERHANG_SECONDS:
        raise DataError(
            f"{notes}: reaches to {last:g} s, but {path.name} ends at {duration:g} s; bring the file that belongs to it"
        )
    return [
        Piece(path, start, label)
        for label, intervals in ((BACKGROUND, said.background), (SEIZURE, said.seizure))
        for interval in intervals
        for stretch in recording.stretches
        for start in signals.pieces(stretch.within(interval), settings.longer_than, settings.piece)
    ]


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InvalidSettings(f"patient {text!r}: is no regular expression ({error})") from None
    if pattern.groups != 1:
        raise InvalidSettings(f"patient {text!r}: has {pattern.groups} groups, expected one, as in ^([^_]+)_")
    return pattern


def from_series(path: Path, settings: EegSettings) -> list[GroupedExample[Piece]]:
    """Every case of a pair of `.ts` files: the test file's are test data, the others are drawn by class for the other splits."""
    pair = [
        sorted(file for file in path.glob(f"*_{part}.ts") if readers.is_of_the_data(PurePosixPath(file.name)))
        for part in ("TRAIN", "TEST")
    ]
    if [len(files) for files in pair] != [1, 1]:
        raise DataError(f"{path}: holds {len(pair[0])} _TRAIN.ts and {len(pair[1])} _TEST.ts; expected {LAYOUT}")
    if settings.source_rate is None:
        raise InvalidSettings(f"settings of {NAME}: {pair[0][0].name} does not say its sampling rate; give source_rate in Hz")
    if settings.channels is not None:
        raise InvalidSettings(
            f"settings of {NAME}: channels are named, but {pair[0][0].name} has no names; leave it out to use all"
        )
    members = []
    for file, split in ((pair[0][0], "train"), (pair[1][0], "test")):
        pieces = [Piece(file, number, label) for number, label in enumerate(signals.labels_of(file))]
        held_out = _held_out(pieces, settings) if split == "train" else set()
        for piece in pieces:
            place = "validation" if piece in held_out else split
            members.append(GroupedExample(piece, f"{file.stem} {piece.start:.0f}", piece.label, place))
    return members


def _held_out(pieces: Sequence[Piece], settings: EegSettings) -> set[Piece]:
    """Of each class the part of the training file's cases that becomes validation data."""
    part = settings.validation / (settings.train + settings.validation)
    held_out: set[Piece] = set()
    for label in {piece.label for piece in pieces}:
        own = [piece for piece in pieces if piece.label == label]
        held_out.update(images.shuffled(own, derive_seed(settings.split_seed, "split", label))[: round(part * len(own))])
    return held_out


def values_of_recordings(pieces: Sequence[Piece], settings: EegSettings) -> Iterator[tuple[Piece, Values]]:
    """Each piece as (channels, samples) at the task's rate; every recording is read once, and filtered whole, or in
    stretches where it has gaps.
    """
    by_file: dict[Path, list[Piece]] = {}
    for piece in pieces:
        by_file.setdefault(piece.file, []).append(piece)
    samples = round(settings.piece * settings.rate)
    for path, own in by_file.items():
        recording = signals.opened(path)
        values, rate = recording.read(settings.channels or signals.MONTAGE)
        for stretch in recording.stretches:
            inside = [piece for piece in own if stretch.start <= piece.start < stretch.stop]
            if not inside:
                continue
            first = round(stretch.stored * rate)
            filtered = _filtered(values[:, first : first + round(stretch.seconds * rate)], rate, settings, str(path))
            for piece in inside:
                start = min(round((piece.start - stretch.start) * settings.rate), filtered.shape[1] - samples)
                yield piece, filtered[:, start : start + samples]


def values_of_series(pieces: Sequence[Piece], settings: EegSettings) -> Iterator[tuple[Piece, Values]]:
    """Each case as (channels, samples) at the task's rate."""
    assert settings.source_rate is not None
    for path in sorted({piece.file for piece in pieces}):
        cases = signals.series(path)
        for piece in pieces:
            if piece.file == path:
                yield piece, _filtered(cases[int(piece.start)], settings.source_rate, settings, str(path))


def _filtered(values: Values, rate: float, settings: EegSettings, where: str) -> Values:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return signals.resampled(signals.band_passed(values, rate, settings.low, settings.high), rate, settings.rate)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _write(
    chosen: Mapping[str, Sequence[GroupedExample[Piece]]],
    values_of: Callable[[Sequence[Piece], EegSettings], Iterator[tuple[Piece, Values]]],
    settings: EegSettings,
    checksum: str,
    folder: Path,
) -> None:
    """Read, filter and store the chosen pieces, each split in a file of its own."""
    places = {member.example: (split, index) for split, members in chosen.items() for index, member in enumerate(members)}
    classes = sorted({piece.label for piece in places})
    out: dict[str, np.memmap[Any, np.dtype[np.float32]]] = {}
    shape: tuple[int, ...] = ()
    for piece, values in values_of(list(places), settings):
        if not out:
            shape = values.shape
            for split, examples in chosen.items():
                target = folder / f"{split}.npy"
                out[split] = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(len(examples), *shape))
        if values.shape != shape:
            raise DataError(
                f"{piece.file}: gives {values.shape} channels and samples, {shape} elsewhere; take it out of the folder"
            )
        split, index = places[piece]
        with np.errstate(over="ignore", invalid="ignore"):
            out[split][index] = values
        if not np.isfinite(out[split][index]).all():
            raise DataError(f"{piece.file}: has numbers that are too large for its filters; take it out of the folder")
    for array in out.values():
        array.flush()
    mean, std = _spread(out["train"])
    for split, examples in chosen.items():
        np.save(folder / f"{split}-labels.npy", np.array([classes.index(example.label) for example in examples], dtype=np.int64))
    meta = {
        "checksum": checksum,
        "classes": classes,
        "channels": shape[0],
        "samples": shape[1],
        "counts": {split: len(members) for split, members in chosen.items()},
        "patients": {split: len({member.group for member in members}) for split, members in chosen.items()},
        "mean": mean,
        "std": std,
        "arrays": {split: images.digest_of(folder, split) for split in images.SPLITS},
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    patients = {split: sorted({member.group for member in members}) for split, members in chosen.items()}
    (folder / "patients.json").write_text(json.dumps(patients, indent=1))


def _spread(pieces: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of pieces (N, channels, samples); the deviation of a constant channel is 1."""
    mean = pieces.mean((0, 2), dtype=np.float64)
    std = np.sqrt(np.maximum(0.0, np.stack([(row.astype(np.float64) ** 2).mean(1) for row in pieces]).mean(0) - mean**2))
    return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def _train(
    prepared: PreparedWindows, settings: EegSettings, windows: convlstm.Windows, configuration: Configuration, run: Run
) -> None:
    classes = len(prepared.classes)
    layers = convlstm.shapes(configuration, windows, classes)
    convnet.limit_weights(layers, settings.max_weights)

    from evenhand.tasks.builtin import networks, training  # only now, so that what cannot be built costs nothing

    where = training.device()
    network = networks.initialised(partial(networks.ConvLstm, configuration, windows, classes), derive_seed(run.seed, "init"))
    feed_of = partial(networks.SignalFeed, mean=prepared.mean, std=prepared.std, where=where)
    networks.fit(network, configuration, feed_of, convnet.values_of(layers), run, where)

"""Reading and filtering signals: EDF with interval annotations, as the TUH EEG Seizure Corpus has them, and `.ts` files.

EDF is read by edfio (extra `eeg`), imported only where a recording is read.
"""

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from evenhand.errors import DataError
from evenhand.model.extras import require

Values = NDArray[np.float64]  # (channels, samples)
Interval = tuple[float, float]  # seconds from the recording's start, end excluded
SEIZURE, BACKGROUND = "seiz", "bckg"
ANNOTATIONS = (".csv_bi", ".csv")  # beside a recording; the first that is there: both classes, or each channel's own events
COLUMNS = ("channel", "start_time", "stop_time", "label")
FILTER_ORDER = 4  # of the Butterworth band-pass, which runs forwards and backwards
OVERHANG_SECONDS = 1.0  # seconds that an annotation may reach beyond its recording, by rounding
# The paper says 20 channels, not which. These are neighbouring electrodes' differences from the front to the back and across, as
# in the corpus's own montages, without the two at the ears.
MONTAGE = (
    *("FP1-F7", "F7-T3", "T3-T5", "T5-O1", "FP2-F8", "F8-T4", "T4-T6", "T6-O2"),
    *("T3-C3", "C3-CZ", "CZ-C4", "C4-T4"),
    *("FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4", "C4-P4", "P4-O2"),
)


@dataclass(frozen=True)
class Annotated:
    """What a recording's annotations say: where a seizure is on any channel, and where it is said that none is."""

    seizure: tuple[Interval, ...]
    background: tuple[Interval, ...]


def annotations_of(recording: Path) -> Path:
    """The annotations that lie beside a recording; DataError where there are none."""
    for suffix in ANNOTATIONS:
        if (file := recording.with_suffix(suffix)).is_file():
            return file
    names = " or ".join(recording.with_suffix(suffix).name for suffix in ANNOTATIONS)
    raise DataError(f"{recording}: has no annotations; put {names} beside it, or take the recording out of the folder")


def annotated(path: Path) -> Annotated:
    """The intervals of a file of lines `channel,start_time,stop_time,label,confidence` below comments and a header.

    Labels are bckg, seiz, or a kind of seizure, which end in "sz" (fnsz, gnsz, ...). Where channels have lines of their own, the
    seizure is where any of them has one; background is what is annotated otherwise.
    """
    intervals: dict[str, list[Interval]] = {SEIZURE: [], BACKGROUND: []}
    header: list[str] = []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        for line, row in enumerate(csv.reader(stream), 1):
            if not row or row[0].lstrip().startswith("#"):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
                if missing := [name for name in COLUMNS if name not in header]:
                    raise DataError(f"{path}, line {line}: has no column {', '.join(missing)}, expected {', '.join(COLUMNS)}")
                continue
            start, stop, label = _row(dict(zip(header, row, strict=False)), f"{path}, line {line}")
            intervals[label].append((start, stop))
    if not header:
        raise DataError(f"{path}: holds no annotations, expected a line of columns {', '.join(COLUMNS)} and lines below it")
    seizure = united(intervals[SEIZURE])
    return Annotated(tuple(seizure), tuple(without(united(intervals[BACKGROUND]), seizure)))


def _row(row: dict[str, str], where: str) -> tuple[float, float, str]:
    label = row.get("label", "").strip().lower()
    kind = SEIZURE if label == SEIZURE or label.endswith("sz") else label
    if kind not in (SEIZURE, BACKGROUND):
        raise DataError(f"{where}: the label is {label!r}, expected {BACKGROUND}, {SEIZURE}, or a kind of seizure such as fnsz")
    try:
        start, stop = float(row["start_time"]), float(row["stop_time"])
    except (KeyError, ValueError):
        raise DataError(f"{where}: expected start_time and stop_time in seconds, got {list(row.values())}") from None
    if not 0 <= start <= stop:
        raise DataError(f"{where}: from {start:g} to {stop:g} s, expected a start from 0 that is not after the stop")
    return start, stop, kind


def united(intervals: Iterable[Interval]) -> list[Interval]:
    """The intervals in order, those that overlap or touch as one."""
    spans: list[Interval] = []
    for start, stop in sorted(intervals):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans


def without(intervals: Iterable[Interval], removed: Sequence[Interval]) -> list[Interval]:
    """What is left of the intervals where those of `removed` (in order, apart) are cut out."""
    rest = []
    for start, stop in intervals:
        for gone, back in removed:
            if back > start and gone < stop:
                if gone > start:
                    rest.append((start, gone))
                start = max(start, back)
        if start < stop:
            rest.append((start, stop))
    return rest


def pieces(interval: Interval, longer_than: float, length: float) -> list[float]:
    """Where the pieces of `length` seconds start that an interval is cut into, end to end; none if it is not longer than that."""
    start, stop = interval
    if stop - start <= longer_than:
        return []
    count = int((stop - start) / length + 1e-9)
    return [start + n * length for n in range(count)]


@dataclass(frozen=True)
class Recording:
    """An EDF file, opened: its channels by plain name (FP1 for "EEG FP1-REF"); samples are read when they are asked for."""

    path: Path
    duration: float
    channels: dict[str, Any]

    def missing(self, wanted: Sequence[str]) -> list[str]:
        """What the wanted channels need and the recording lacks."""
        return sorted({part for name in wanted for part in self._parts(name) if part not in self.channels})

    def _parts(self, name: str) -> tuple[str, ...]:
        return (name,) if name in self.channels else tuple(name.split("-"))

    def read(self, wanted: Sequence[str]) -> tuple[Values, float]:
        """The wanted channels (channels, samples) and their rate in Hz. "A-B" is A less B where no channel has that name."""
        parts = {name: self._parts(name) for name in wanted}
        used = {name: self.channels[name] for names in parts.values() for name in names}
        rates = {name: float(channel.sampling_frequency) for name, channel in used.items()}
        rate = next(iter(rates.values()))
        if any(other != rate for other in rates.values()):
            shown = ", ".join(f"{name} {other:g} Hz" for name, other in rates.items())
            raise DataError(f"{self.path}: its channels have different sampling rates ({shown}); choose channels of one rate")
        data = {name: np.asarray(channel.data, dtype=np.float64) for name, channel in used.items()}
        rows = [data[names[0]] if len(names) == 1 else data[names[0]] - data[names[1]] for names in parts.values()]
        return np.stack(rows), rate


def opened(path: Path) -> Recording:
    """An EDF file's header; DataError where it is damaged, PackageMissing where edfio is not installed."""
    read_edf = require("edfio", f"{path}: a recording in EDF").read_edf
    try:
        with warnings.catch_warnings():
            for message in ("Incomplete data record", "EDF header indicates"):  # it ends too early
                warnings.filterwarnings("error", message)
            recording = read_edf(path, lazy_load_data=True, header_encoding="latin-1")
            return Recording(path, float(recording.duration), {plain(channel.label): channel for channel in recording.signals})
    except (OSError, ValueError, IndexError, UserWarning) as error:
        raise DataError(f"{path}: cannot be read as EDF ({error}); bring a whole copy of it") from error


def plain(label: str) -> str:
    """A channel's name without what all have in common: FP1 for "EEG FP1-REF" and "EEG FP1-LE"."""
    return re.sub(r"-(REF|LE|AR)$", "", re.sub(r"^EEG\s+", "", label.strip().upper()))


def labels_of(path: Path) -> list[str]:
    """The class of each case of a `.ts` file, in order; their values are not looked at."""
    return [text.rpartition(":")[2].strip() for _, text in _cases(path)]


def series(path: Path) -> list[Values]:
    """The cases of a `.ts` file, in order; all have as many channels and samples."""
    cases = [_case(text.split(":")[:-1], f"{path}, line {number}") for number, text in _cases(path)]
    shapes = sorted({case.shape for case in cases})
    if len(shapes) > 1:
        raise DataError(f"{path}: its cases differ in channels and length ({shapes[0]}, {shapes[1]}, ...), expected all alike")
    return cases


def _cases(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and lines below @data: a line is a case, its channels and, at last, its class split by ":"."""
    begun, any_case = False, False
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            text = line.strip()
            if not begun:
                begun = text.lower().startswith("@data")
                if text.lower().split()[:2] == ["@timestamps", "true"]:
                    raise DataError(f"{path}: has time stamps, expected series that are sampled evenly (@timestamps false)")
            elif text and not text.startswith("#"):
                any_case = True
                yield number, text
    if not any_case:
        raise DataError(f"{path}: holds no cases, expected lines of values below @data")


def _case(channels: Sequence[str], where: str) -> Values:
    try:
        rows = [np.array(channel.split(","), dtype=np.float64) for channel in channels]
        values = np.stack(rows)
    except ValueError as error:
        raise DataError(f"{where}: expected numbers split by commas, as many in each channel ({error})") from None
    if not np.isfinite(values).all():
        raise DataError(f"{where}: has values that are missing or not finite; fill them in, or take the case out")
    return values


def band_passed(values: Values, rate: float, low: float, high: float) -> Values:
    """Signals (..., samples) at `rate` Hz with frequencies from `low` to `high` Hz left, without delay (Butterworth)."""
    if high >= rate / 2:
        raise DataError(f"the band's upper end is {high:g} Hz, expected less than half of the sampling rate of {rate:g} Hz")
    sections = signal.butter(FILTER_ORDER, (low, high), "bandpass", fs=rate, output="sos")
    edge = min(3 * (2 * len(sections) + 1), values.shape[-1] - 1)  # SciPy's own, shorter for very short signals
    filtered: Values = signal.sosfiltfilt(sections, values, axis=-1, padlen=edge)
    return filtered


def resampled(values: Values, rate: float, to: float) -> Values:
    """Signals (..., samples) at `rate` Hz at the rate `to`; polyphase, with a filter against aliasing."""
    if rate == to:
        return values
    factor = Fraction(to / rate).limit_denominator(1000)
    samples: Values = signal.resample_poly(values, factor.numerator, factor.denominator, axis=-1, padtype="line")
    return samples

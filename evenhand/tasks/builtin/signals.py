"""Reading and filtering signals: EDF with interval annotations, as the TUH EEG Seizure Corpus has them, and `.ts` files.

EDF is read by edfio (extra `eeg`), imported only where a recording is read.
"""

import codecs
import csv
import io
import math
import re
import warnings
from collections import Counter
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
from evenhand.model.files import bounded_lines, check_file
from evenhand.model.words import plural, shortened, text_of

Values = NDArray[np.float64]  # (channels, samples)
Interval = tuple[float, float]  # seconds from the recording's start, end excluded
SEIZURE, BACKGROUND = "seiz", "bckg"
ANNOTATIONS = (".csv_bi", ".csv")  # beside a recording; the first that is there: both classes, or each channel's own events
COLUMNS = ("channel", "start_time", "stop_time", "label")
LONGEST_LABEL = 40  # letters of a class that an error shows
DISCONTINUOUS = "EDF+D"  # what a file with gaps says of itself
ANNOTATIONS_LABEL = "EDF Annotations"
RECORD_TIME_PATTERN = re.compile(rb"([+-][0-9]+(?:\.[0-9]*)?)(?:\x15[0-9.]*)?\x14")  # at the beginning of a record's annotations
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
    reader = csv.reader(io.StringIO(_text_of(path), newline=""))
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if not row or row[0].lstrip().startswith("#"):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
                if missing := [name for name in COLUMNS if name not in header]:
                    raise DataError(
                        f"{where}: has no column {', '.join(missing)}, expected {', '.join(COLUMNS)}, with commas between them"
                    )
                continue
            start, stop, label = _row(dict(zip(header, row, strict=False)), where)
            intervals[label].append((start, stop))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: cannot be read as CSV ({error}); bring a whole copy of it") from error
    if not header:
        raise DataError(f"{path}: holds no annotations, expected a line of columns {', '.join(COLUMNS)} and lines below it")
    seizure = united(intervals[SEIZURE])
    return Annotated(tuple(seizure), tuple(without(united(intervals[BACKGROUND]), seizure)))


def _text_of(path: Path) -> str:
    """A file's text: UTF-16 where its first bytes say so, else UTF-8, else Latin-1. What is read of annotations is plain letters,
    the same in the last two; comments and notes need not be.
    """
    try:
        content = check_file(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return _plain_text(content)


def _plain_text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _row(row: dict[str, str], where: str) -> tuple[float, float, str]:
    label = row.get("label", "").strip().lower()
    kind = SEIZURE if label == SEIZURE or label.endswith("sz") else label
    if kind not in (SEIZURE, BACKGROUND):
        raise DataError(f"{where}: the label is {label!r}, expected {BACKGROUND}, {SEIZURE}, or a kind of seizure such as fnsz")
    try:
        start, stop = float(row["start_time"]), float(row["stop_time"])
    except (KeyError, ValueError):
        raise DataError(f"{where}: expected start_time and stop_time in seconds, got {list(row.values())}") from None
    if not 0 <= start <= stop < math.inf:
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
class Stretch:
    """A part of a recording without a gap. start, stop: seconds from the recording's start; stored: seconds of data before it."""

    start: float
    stop: float
    stored: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.stop - self.start

    def within(self, interval: Interval) -> Interval:
        """The part of an interval that lies in it; one that ends before it starts where there is none."""
        return max(interval[0], self.start), min(interval[1], self.stop)


@dataclass(frozen=True)
class Recording:
    """An EDF file, opened: its channels by plain name (FP1 for "EEG FP1-REF"); samples are read when they are asked for.

    stretches: where it was recorded, in order; more than one where it has gaps. format: as the file says, EDF, EDF+C or EDF+D.
    repeated: names that several channels have.
    """

    path: Path
    stretches: tuple[Stretch, ...]
    channels: dict[str, Any]
    format: str = "EDF"
    repeated: frozenset[str] = frozenset()

    @property
    def duration(self) -> float:
        """Seconds from its start to its end, gaps included."""
        return self.stretches[-1].stop if self.stretches else 0.0

    @property
    def gap_words(self) -> str:
        """How many gaps it has, and how long they are together."""
        missing = self.duration - sum(stretch.seconds for stretch in self.stretches)
        return f"{plural(len(self.stretches) - 1, 'gap')} of {missing:g} s"

    def missing(self, wanted: Sequence[str]) -> list[str]:
        """What the wanted channels need and the recording lacks."""
        return sorted({part for name in wanted for part in self._parts(name) if part not in self.channels})

    def _parts(self, name: str) -> tuple[str, ...]:
        return (name,) if name in self.channels else tuple(name.split("-"))

    def read(self, wanted: Sequence[str]) -> tuple[Values, float]:
        """The wanted channels (channels, samples) and their rate in Hz. "A-B" is A less B where no channel has that name."""
        parts = {name: self._parts(name) for name in wanted}
        used = {name: self.channels[name] for names in parts.values() for name in names}
        if twice := sorted(self.repeated & used.keys()):
            raise DataError(f"{self.path}: several of its channels are called {twice[0]}; take the recording out of the folder")
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
            kind = (recording.reserved.strip() or "EDF").split()[0]
            names = Counter(plain(channel.label) for channel in recording.signals)
            repeated = frozenset(name for name, count in names.items() if count > 1)
            channels = {plain(channel.label): channel for channel in recording.signals}
            return Recording(path, _stretches(path, recording, kind), channels, kind, repeated)
    except (OSError, ValueError, IndexError, ArithmeticError, UserWarning) as error:
        raise DataError(f"{path}: cannot be read as EDF ({text_of(error)}); bring a whole copy of it") from error


def _stretches(path: Path, recording: Any, kind: str) -> tuple[Stretch, ...]:
    """Where a recording has data, by what its records say of when they begin; of plain EDF, which cannot say it, the whole.

    A difference of less than half a sample is none. DataError where an EDF+D file, which may have gaps, does not say its times.
    """
    records, length = int(recording.num_data_records), float(recording.data_record_duration)
    if not math.isfinite(length) or length < 0:
        raise DataError(f"{path}: says that a record lasts {length:g} s, expected seconds; bring a whole copy of it")
    whole = (Stretch(0.0, records * length, 0.0),)
    if not kind.startswith("EDF+"):
        return whole
    times = _record_times(path, recording, records)
    silent = next((place for place, time in enumerate(times, 1) if time is None), None)
    if not times or silent is not None:
        if kind != DISCONTINUOUS:
            return whole
        which = f"record {silent} of {records}" if silent else "the file"
        raise DataError(f"{path}: is EDF+D, which may have gaps, and {which} does not say when it begins; bring a whole copy")
    most = max((float(channel.sampling_frequency) for channel in recording.signals), default=1.0)
    begins = [time for time in times if time is not None]
    stretches = [Stretch(0.0, length, 0.0)]
    for number, begin in enumerate(begins[1:], 1):
        start, last = begin - begins[0], stretches[-1]
        if start < last.stop - 0.5 / most:
            raise DataError(
                f"{path}: its record {number + 1} begins at {start:g} s, before the one in front of it ends ({last.stop:g} s); "
                "take the recording out of the folder"
            )
        if start <= last.stop + 0.5 / most:
            stretches[-1] = Stretch(last.start, last.start + (number * length - last.stored) + length, last.stored)
        else:
            stretches.append(Stretch(start, start + length, number * length))
    return tuple(stretches)


def _record_times(path: Path, recording: Any, records: int) -> list[float | None]:
    """When each record of an EDF+ file begins, in seconds; None where one does not say it, nothing without any annotations.

    Its first list of annotations says it. Of that only digits are read, so that what people wrote may be in any encoding.
    """
    header_bytes = int(recording.bytes_in_header_record)
    count = header_bytes // 256 - 1  # of signals, annotations included
    with path.open("rb") as file:
        header = file.read(header_bytes)
        labels = [header[256 + 16 * place : 272 + 16 * place].decode("latin-1").strip() for place in range(count)]
        sizes = [2 * int(header[256 + 216 * count + 8 * place : 264 + 216 * count + 8 * place]) for place in range(count)]
        if ANNOTATIONS_LABEL not in labels:
            return []
        place = labels.index(ANNOTATIONS_LABEL)
        before, record_bytes = sum(sizes[:place]), sum(sizes)
        times: list[float | None] = []
        for number in range(records):
            file.seek(header_bytes + number * record_bytes + before)
            match = RECORD_TIME_PATTERN.match(file.read(sizes[place]))
            times.append(float(match[1]) if match else None)
    return times


def plain(label: str) -> str:
    """A channel's name without what all have in common: FP1 for "EEG FP1-REF" and "EEG FP1-LE"."""
    return re.sub(r"-(REF|LE|AR)$", "", re.sub(r"^EEG\s+", "", label.strip().upper()))


def labels_of(path: Path) -> list[str]:
    """The class of each case of a `.ts` file, in order; their values are not looked at."""
    classes, labels = set(_declared_classes(path)), []
    for number, text in _cases(path):
        label = text.rpartition(":")[2].strip()
        if ":" not in text or not label:
            raise DataError(f"{path}, line {number}: has no class, expected values and, behind the last colon, a class")
        if classes and label not in classes:
            raise DataError(
                f"{path}, line {number}: has the class {shortened(label, LONGEST_LABEL)!r}, expected one that @classLabel names: "
                f"{', '.join(sorted(classes))}"
            )
        labels.append(label)
    return labels


def _declared_classes(path: Path) -> list[str]:
    """The classes that the head of a `.ts` file names, if it does. DataError where it says that there are none."""
    for number, text in _lines(path):
        words = text.split()
        if text.lower().startswith("@data"):
            break
        if words and words[0].lower() in ("@classlabel", "@targetlabel"):
            if words[0].lower() == "@targetlabel" or [word.lower() for word in words[1:2]] == ["false"]:
                raise DataError(f"{path}, line {number}: its cases have no classes ({text}), expected @classLabel true and names")
            return words[2:]
    return []


def not_utf8_lines(path: Path) -> int:
    """How many lines of a `.ts` file are no UTF-8, and are read as Latin-1."""
    with path.open("rb") as stream:
        return sum(not _is_utf8(line) for line in stream)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a `.ts` file without blanks around them, with their numbers; a line that is no UTF-8 is read as Latin-1."""
    with check_file(path).open("rb") as stream:
        for number, line in enumerate(bounded_lines(stream, str(path)), 1):
            if b"\0" in line:
                raise DataError(f"{path}, line {number}: is no text (it holds a zero byte); save the file as UTF-8")
            yield number, _plain_text(line).strip()


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
    for number, text in _lines(path):
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

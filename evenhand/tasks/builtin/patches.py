"""The patches task: a ConvNet on image patches, each class a folder, split by the slide they were cut from.

It is made for data set #11 of "On Automating Hyperparameter Optimization for Deep Learning Applications" (two kinds of breast
cancer), which has to be asked for at its source; any other folder of patches is read alike. docs/tasks.md says what the paper
leaves open.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.digest import digest
from evenhand.model.rules import derive_seed
from evenhand.model.words import plural
from evenhand.tasks import accounts, readers, text_tables, versions
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import convnet, groups, images
from evenhand.tasks.builtin.groups import GroupedExample
from evenhand.tasks.builtin.images import PreparedImages
from evenhand.tasks.download import Progress
from evenhand.tasks.readers import ImageItem
from evenhand.tasks.run import Run
from evenhand.tasks.settings import checked, number, text, whole

NAME = "patches"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
LAYOUT = "CLASS/NAME, or SPLIT/CLASS/NAME with splits named train, dev (or validation) and eval (or test)"
FORMAT = 1  # counted up when the preparation changes, so that older prepared folders are not used


@dataclass(frozen=True)
class PatchesSettings:
    """What belongs to a version of the task and is never tuned.

    data: a folder. size: pixels. slide: a regular expression whose one group, searched in a file's name, is its slide; or None
    and table: a CSV file whose columns `file_column` (a file's name, or its path below the folder), `slide_column` and, if there
    is one, `split_column` say it. train, validation, test: the most patches of each split, all classes together. crop, rotate,
    jitter: how far patches are changed in training, see augment.Change. max_weights: networks with more are invalid.
    """

    data: str = ""
    size: int = 128
    slide: str | None = None
    table: str | None = None
    file_column: str = "file"
    slide_column: str = "slide"
    split_column: str = "split"
    train: int = 10_000
    validation: int = 2_500
    test: int = 2_500
    split_seed: int = 0
    crop: float = 0.8
    rotate: float = 180.0
    jitter: float = 0.1
    max_weights: int = 20_000_000
    least_epochs: int = convnet.EPOCHS_LEAST
    max_epochs: int = convnet.EPOCHS_MOST

    @property
    def sizes(self) -> dict[str, int]:
        """The most patches of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


CHECKS = {
    "data": text("the path of a folder"),
    "size": whole(8, 512),
    "slide": text("a regular expression with one group", or_none=True),
    "table": text("the path of a CSV file", or_none=True),
    **{name: text("the name of a column") for name in ("file_column", "slide_column", "split_column")},
    **{name: whole(2, 10_000_000) for name in images.SPLITS},
    "split_seed": whole(0, 2**31 - 1),
    "crop": number(0.1, 1),
    "rotate": number(0, 180),
    "jitter": number(0, 1),
    "max_weights": whole(1, 10**10),
    "least_epochs": whole(1, 9_999),
    "max_epochs": whole(2, 10_000),
}


def settings_from(raw: Mapping[str, Any]) -> PatchesSettings:
    """The settings that `raw` holds; those left out have their defaults. InvalidSettings says what is wrong."""
    settings = PatchesSettings(**checked(NAME, raw, CHECKS))
    if not settings.data:
        raise InvalidSettings(f"settings of {NAME}: data is missing; give the folder that holds the patches as {LAYOUT}")
    if (settings.slide is None) == (settings.table is None):
        raise InvalidSettings(
            f"settings of {NAME}: expected either slide, a regular expression with one group that finds the slide in a file's "
            "name, or table, a CSV file that says it; without it patches of one slide would come into two splits"
        )
    if settings.least_epochs >= settings.max_epochs:
        raise InvalidSettings(f"settings of {NAME}: least_epochs is {settings.least_epochs}, expected less than max_epochs")
    return settings


def load(raw: Mapping[str, Any]) -> Task:
    """The task with these settings. Its data is prepared on the first call, which may take minutes; later calls are quick."""
    given = settings_from(raw)
    table = str(Path(given.table).expanduser().resolve()) if given.table else None
    settings = replace(given, data=str(Path(given.data).expanduser().resolve()), table=table)
    prepared = prepare(settings)
    full = asdict(settings)
    fixed = {name: value for name, value in full.items() if name not in ("data", "table")}
    space = convnet.space(prepared.counts["train"], (settings.least_epochs, settings.max_epochs))
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, fixed, space.digest, prepared.arrays),
        space=space,
        metric="accuracy",
        direction="maximize",
        max_epochs=settings.max_epochs,
        train=partial(_train, prepared, settings),
        data=partial(images.splits, prepared.folder, prepared.load),
        test_data=digest([prepared.checksum, settings.split_seed]),
        settings=full,
        statistics={**images.describe(prepared), **_slides(prepared)},
        example=convnet.example(convnet.EXAMPLE, prepared.counts["train"], settings.least_epochs),
    )


def _slides(prepared: PreparedImages) -> dict[str, int]:
    slides = json.loads((prepared.folder / "slides.json").read_text())
    words = {"train": "training", "validation": "validation", "test": "test"}
    return {f"{words[split]} slides": len(names) for split, names in slides.items()}


@dataclass(frozen=True)
class Patches(readers.Folder):
    """A folder of CLASS/NAME or SPLIT/CLASS/NAME; an item without a split has the split ""."""

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path."""
        shown = readers.images_among(readers.paths_below(self.path), self.path)
        if not shown:
            raise DataError(f"{self.path}: holds no images, expected {LAYOUT}")
        return [self._item(path) for path in shown]

    def _item(self, path: PurePosixPath) -> ImageItem:
        folders = path.parts[:-1]
        split = readers.SPLIT_NAMES.get(folders[0].lower()) if len(folders) == 2 else ""
        if len(folders) not in (1, 2) or split is None:
            raise DataError(f"{self.path}: holds the image {path}, expected {LAYOUT}")
        return ImageItem(split, folders[-1], str(path))


def prepare(settings: PatchesSettings, progress: Progress | None = None) -> PreparedImages:
    """The patches as fixed splits by slide, decoded and stored on the first call. progress(done, total) counts images.

    Raises:
        DataError: the folder or table is not there, a patch is damaged or has no slide, or slides are too few for three splits.
    """
    path = Path(settings.data)
    if not path.is_dir():
        raise DataError(f"data {settings.data!r}: there is no such folder; give the folder that holds the patches as {LAYOUT}")
    table = Path(settings.table) if settings.table else None
    if table is not None and not table.is_file():
        raise DataError(f"table {settings.table!r}: there is no such file; give a CSV file that says each patch's slide")
    checksum = images.checksum_of(path)
    content = {
        "data": checksum,
        "table": readers.sha256_of(table) if table else None,
        "slide": settings.slide,
        "columns": [settings.file_column, settings.slide_column, settings.split_column],
        "sizes": settings.sizes,
        "format": [FORMAT, images.FORMAT],
    }
    name = f"patches-{digest(content)[:20]}-{settings.size}px-split{settings.split_seed}"
    folder = images.home() / "prepared" / name

    def make(fresh: Path) -> None:
        collection = Patches(path)
        items = collection.items()
        members = with_slides(items, settings)
        chosen = groups.divide(members, settings.sizes, derive_seed(settings.split_seed, "slides"), "slide")
        splits = {split: [patch.example for patch in patches] for split, patches in chosen.items()}
        images.write(
            collection,
            splits,
            fresh,
            progress,
            checksum=checksum,
            size=settings.size,
            split_seed=settings.split_seed,
            own_splits=members[0].split is not None,
        )
        slides = {split: sorted({patch.group for patch in patches}) for split, patches in chosen.items()}
        (fresh / "slides.json").write_text(json.dumps(slides, indent=1))
        said = images.account_of(str(path), items, splits, collection.others())
        counted = [f"{plural(len(names), 'slide')} for {split}" for split, names in slides.items()]
        where = f"by the table {table.name}" if table else f"by the expression {settings.slide} in the files' names"
        accounts.keep(replace(said, remarks=(f"slides are told {where}: {', '.join(counted)}", *said.remarks)), fresh)

    images.made_once(folder, make, path)
    return images.read(folder)


def with_slides(items: Sequence[ImageItem], settings: PatchesSettings) -> list[GroupedExample[ImageItem]]:
    """Each item with its slide and, where the folders or the table give one, its split."""
    if settings.table is not None:
        return _from_table(items, settings)
    assert settings.slide is not None
    try:
        pattern = re.compile(settings.slide)
    except re.error as error:
        raise InvalidSettings(f"slide {settings.slide!r}: is no regular expression ({error})") from None
    if pattern.groups != 1:
        raise InvalidSettings(f"slide {settings.slide!r}: has {pattern.groups} groups, expected one, as in ^([^_]+)_")
    matches = [(item, pattern.search(PurePosixPath(item.name).name)) for item in items]
    without = [item.name for item, match in matches if match is None or not match[1]]
    if without:
        raise DataError(
            f"slide {settings.slide!r}: finds no slide in {len(without)} of {len(items)} file names, such as {without[0]}; "
            "change the expression, or give a table"
        )
    return [GroupedExample(item, match[1], item.label, item.split or None) for item, match in matches if match]


def _from_table(items: Sequence[ImageItem], settings: PatchesSettings) -> list[GroupedExample[ImageItem]]:
    rows = _rows(Path(str(settings.table)), settings)
    members = []
    for item in items:
        row = rows.get(item.name) or rows.get(PurePosixPath(item.name).name)
        if row is None:
            raise DataError(
                f"{settings.table}: has no row for the patch {item.name}; add one, or take the patch out of the folder"
            )
        members.append(GroupedExample(item, row[0], item.label, row[1] or item.split or None))
    return members


def _rows(table: Path, settings: PatchesSettings) -> dict[str, tuple[str, str]]:
    """(slide, split or "") of each file that the table names."""
    entries: dict[str, tuple[str, str]] = {}
    read = text_tables.read(table, header=True)
    columns = read.names or []
    missing = [name for name in (settings.file_column, settings.slide_column) if name not in columns]
    if missing:
        raise DataError(
            f"{table}: has no column {' and no column '.join(missing)}, its columns are: {', '.join(columns)}; "
            "name them by the settings file_column and slide_column"
        )
    for line, cells in zip(read.lines, read.rows, strict=True):
        row = dict(zip(columns, cells, strict=True))
        where, file, slide = f"{table}, line {line}", row[settings.file_column], row[settings.slide_column]
        split = row.get(settings.split_column, "").lower()
        if not file or not slide:
            raise DataError(f"{where}: expected a file and its slide, got {file!r} and {slide!r}")
        if split and split not in readers.SPLIT_NAMES:
            raise DataError(f"{where}: the split is {split!r}, expected one of {', '.join(readers.SPLIT_NAMES)}")
        entry = (slide, readers.SPLIT_NAMES.get(split, ""))
        if entries.setdefault(file, entry) != entry:
            raise DataError(f"{where}: names {file} again, with another slide or split")
    return entries


def _train(prepared: PreparedImages, settings: PatchesSettings, configuration: Configuration, run: Run) -> None:
    classes = len(prepared.classes)
    layers = convnet.shapes(configuration, settings.size, classes)
    convnet.limit_weights(layers, settings.max_weights)

    from evenhand.tasks.builtin import augment, networks, training  # only now, so that what cannot be built costs nothing

    where = training.device()
    build = partial(networks.convnet, configuration, settings.size, classes)
    network = networks.initialised(build, derive_seed(run.seed, "init"))
    change = augment.Augmentation(settings.crop, settings.rotate, settings.jitter)
    feed_of = partial(augment.PatchFeed, change=change, mean=prepared.mean, std=prepared.std, where=where)
    networks.fit(network, configuration, feed_of, convnet.values_of(layers), run, where)

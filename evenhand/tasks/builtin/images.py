"""Image data: the named sources, and any of them made ready for training as fixed splits of uint8 arrays.

A prepared set is one folder for one (source checksum, size, split seed). Each split is a file of its own, so that tuning
never opens the test images; the folder appears whole, by one rename, and is never changed afterwards.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.digest import digest
from evenhand.model.files import check_file
from evenhand.model.rules import derive_seed
from evenhand.model.words import plural
from evenhand.settings import data_dir
from evenhand.tasks import accounts, levels, readers
from evenhand.tasks.accounts import DataAccount, Taken
from evenhand.tasks.download import Progress, Remote, download, locked, md5_of, part_of
from evenhand.tasks.readers import Collection, ImageItem, Pixels
from evenhand.tasks.splits import Splits

T = TypeVar("T")
SPLITS = ("train", "validation", "test")
MOST_TRAINING_IMAGES = 13_000  # training images at most, as in the black-magic study
HELD_OUT_IMAGES = 500  # validation images, and as many test images, as in the black-magic study
HELD_OUT_DIVISOR = 6  # ... but each at most this part (one sixth) of a small collection
FORMAT = 3  # counted up when the preparation changes, so that older prepared folders are not used
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

_FASHION_HOME = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
IMAGENETTE = Remote(
    "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
    "e793b78cc4c9e9a4ccc0c1155377a412",  # as torchvision's loader lists it; the publisher lists none
    99_003_388,  # shown before a download; nothing depends on it
)
FASHION = (
    Remote(f"{_FASHION_HOME}/train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    Remote(f"{_FASHION_HOME}/train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
    Remote(f"{_FASHION_HOME}/t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    Remote(f"{_FASHION_HOME}/t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
)
# Debian compresses the same contents anew, without the name in the gzip header: MD5 of its files, in the same order.
FASHION_DEBIAN = (
    "cf8536b0aa1a6ac5fa3f23001093305c",
    "10bea18fdb374794d4bb42e356e600c9",
    "f78720b4224f21cce2f2ccf2d7a94c9a",
    "0d30e22e447f3c33dab9ed536400ac01",
)
DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"  # of the 17 grey levels, then the labels


@dataclass(frozen=True)
class ImageSource:
    """A data source by name. checksum: in words; size: bytes to download; received: bytes of an unfinished download."""

    name: str
    title: str
    images: int
    licence: str
    checksum: str
    size: int
    url: str | None
    state: Literal["ready", "partly downloaded", "not here"]
    where: Path | None
    received: int = 0


@dataclass(frozen=True)
class PreparedImages:
    """Splits made ready for training.

    counts: images in each split; classes: their names in the source; mean, std: of each channel over the training images, on
    the scale 0 to 255; arrays: SHA-256 of each split's images and labels as they are fed to the network; own_splits: whether
    the source's own splits were kept; photos: whether a mirrored image is as good an example of its class.
    """

    folder: Path
    checksum: str
    size: int
    split_seed: int
    classes: tuple[str, ...]
    counts: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    arrays: dict[str, str]
    own_splits: bool
    photos: bool

    def load(self, split: str) -> tuple[Pixels, NDArray[np.int64]]:
        """Images (N, size, size, 3) and class numbers (N,) of one split: memory-mapped, so that processes share them."""
        return (
            np.load(self.folder / f"{split}.npy", mmap_mode="c"),
            np.load(self.folder / f"{split}-labels.npy"),
        )


def test_data_of(prepared: PreparedImages) -> str:
    """What the test images are known by: the source's content and how it was split, whatever their size."""
    return digest([prepared.checksum, prepared.split_seed])


def class_names(settings: Mapping[str, Any]) -> list[str]:
    """The classes by number, of a task with these settings whose data is prepared here; nothing where it is not of images."""
    if not {"data", "size", "split_seed"} <= settings.keys():
        return []
    return list(prepare(settings["data"], settings["size"], settings["split_seed"]).classes)


def splits(folder: Path, load: Callable[[str], Any]) -> Splits:
    """A task's splits, of which each is loaded when it is first used, with what they were taken for.

    folder: of the prepared data.
    """
    return Splits(*(partial(load, split) for split in SPLITS), account=accounts.kept(folder))


def account_of(
    source: str, items: Sequence[ImageItem], chosen: Mapping[str, Sequence[ImageItem]], others: Sequence[PurePosixPath]
) -> DataAccount:
    """What pictures were taken for, a line for each class. items: all; chosen: those of each split, where any were chosen yet;
    others: files that are no pictures.
    """
    by_label: dict[str, list[ImageItem]] = {}
    for item in items:
        by_label.setdefault(item.label, []).append(item)
    uses = chosen or _own_splits(items)
    counts = {split: Counter(item.label for item in members) for split, members in uses.items()}
    parts = []
    for label, members in sorted(by_label.items()):
        holds = ", ".join(
            plural(counted[label], "picture") + (f" for {split}" if split else "")
            for split, counted in counts.items()
            if counted[label]
        )
        names = accounts.first_of(PurePosixPath(item.name).name for item in members)
        parts.append(Taken(label, "a class", holds, 0, names))
    remarks = []
    used = sum(map(len, uses.values()))
    if used < len(items):
        remarks.append(
            f"{plural(len(items) - used, 'picture')} of {len(items)} are left out, so that splits have the sizes asked for"
        )
    if others:
        kinds = accounts.counts_of(path.suffix.lower() or "no suffix" for path in others)
        remarks.append(f"{plural(len(others), 'file')} of other kinds than pictures passed over: {kinds}")
    said = f"{source}: {plural(len(items), 'picture')}, {plural(len(parts), 'class', 'classes')}"
    return DataAccount(said, tuple(parts), tuple(remarks), "folder")


def _own_splits(items: Sequence[ImageItem]) -> dict[str, list[ImageItem]]:
    uses: dict[str, list[ImageItem]] = {}
    for item in items:
        uses.setdefault("" if item.split == "all" else item.split, []).append(item)
    return uses


def home() -> Path:
    """The folder that holds downloads and prepared sets."""
    return data_dir() / "datasets"


def sources() -> list[ImageSource]:
    """Every source that has a name, with its state on this machine."""
    return [_imagenette(), _fashion_mnist(), _digits()]


def source(name: str) -> ImageSource:
    """The source called `name`; DataError listing all names where there is none."""
    for image_source in sources():
        if image_source.name == name:
            return image_source
    names = ", ".join(image_source.name for image_source in sources())
    raise DataError(f"data {name!r}: no such file or folder and no such source; expected a path or one of {names}")


def best_at_hand() -> str:
    """The name of the source to begin with: the first that is ready, photos before clothes before digits."""
    return next(image_source.name for image_source in sources() if image_source.state == "ready")


def fetch(name: str, progress: Progress | None = None) -> ImageSource:
    """Bring a named source to this machine; nothing happens where it is ready. An unfinished download is continued.

    progress(done, total) is called with bytes over all its files. DataError says why a download failed and what to do.
    """
    wanted = source(name)
    if wanted.state == "ready":
        return wanted
    remotes, folder = ((IMAGENETTE,), home() / "imagenette") if name == "imagenette" else (FASHION, home() / "fashion-mnist")
    total, before = sum(file.size for file in remotes), 0
    for remote in remotes:
        download(remote, folder / remote.name, _shifted(progress, before, total))
        before += remote.size
    return source(name)


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, length: progress(before + done, max(total, before + (length or 0)))


def _imagenette() -> ImageSource:
    path = home() / "imagenette" / IMAGENETTE.name
    part = part_of(path)
    received = part.stat().st_size if part.exists() else 0
    return ImageSource(
        "imagenette",
        "Imagenette, 160 px: photos of ten kinds of things, from ImageNet",
        13_394,
        "listing Apache 2.0; the photos under ImageNet's terms, for non-commercial research and education",
        f"MD5 {IMAGENETTE.md5}",
        IMAGENETTE.size,
        IMAGENETTE.url,
        "ready" if path.exists() else "partly downloaded" if received else "not here",
        path if path.exists() else None,
        received,
    )


def _fashion_mnist() -> ImageSource:
    own = home() / "fashion-mnist"
    here = next((f for f in (own, DEBIAN_FASHION) if all((f / remote.name).exists() for remote in FASHION)), None)
    files = [file for remote in FASHION for file in (own / remote.name, part_of(own / remote.name)) if file.exists()]
    received = 0 if here else sum(file.stat().st_size for file in files)
    return ImageSource(
        "fashion-mnist",
        "Fashion-MNIST: grey pictures of ten kinds of clothes, 28 px",
        70_000,
        "MIT",
        "MD5 of its four files, as published or as packaged by Debian",
        sum(remote.size for remote in FASHION),
        _FASHION_HOME,
        "ready" if here else "partly downloaded" if received else "not here",
        here,
        received,
    )


def _digits() -> ImageSource:
    return ImageSource(
        "digits",
        "Digits: handwritten, grey, 8 px, from scikit-learn",
        1_797,
        "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
        f"SHA-256 {DIGITS_SHA256}",
        0,
        None,
        "ready",
        None,
    )


def prepare(data: str, size: int, split_seed: int, progress: Progress | None = None) -> PreparedImages:
    """`data` (a source's name, or the path of a folder or tar archive) as fixed splits of `size` x `size` colour images.

    The first call decodes and stores them; later ones, in any process, read a small file. Two processes that ask at once
    wait for each other. progress(done, total) counts images.

    Raises:
        DataError: the data is not on this machine, is damaged, or is not laid out as SPLIT/CLASS/FILE.
        InvalidSettings: `size` is not a number of pixels from 1 to 512.
    """
    if not 1 <= size <= 512:
        raise InvalidSettings(f"image size: got {size}, expected 1 to 512 pixels")
    checksum, path = _identify(data)
    folder = home() / "prepared" / f"v{FORMAT}-{checksum[:20]}-{size}px-split{split_seed}"

    def make(fresh: Path) -> None:
        collection = _open(data, path)
        items = collection.items()
        splits = choose_splits(items, split_seed)
        own = {item.split for item in items} == set(SPLITS)
        write(collection, splits, fresh, progress, checksum=checksum, size=size, split_seed=split_seed, own_splits=own)
        accounts.keep(account_of(data, items, splits, collection.others()), fresh)

    made_once(folder, make, data)
    return read(folder)


def made_once(folder: Path, make: Callable[[Path], None], source: str | Path) -> None:
    """Have `make` fill a new folder that becomes `folder` when it is whole; nothing happens where `folder` is there already.

    Two processes that ask at once wait for each other. What `make` left unfinished is removed. source: what the data is read
    from, which every error names.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if folder.exists():
            return
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            make(fresh)
            fresh.replace(folder)
        except DataError as error:
            if str(source) in str(error):
                raise
            raise DataError(f"{source}: {error}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def read(folder: Path) -> PreparedImages:
    """The prepared set that `write` put into `folder`."""
    meta = json.loads((folder / "meta.json").read_text())
    for name in ("classes", "mean", "std"):
        meta[name] = tuple(meta[name])
    return PreparedImages(folder=folder, **meta)


def locate(data: str) -> str:
    """`data` as a task's settings hold it: a source's name, or an absolute path. DataError where it is neither."""
    path = Path(data).expanduser()
    if any(data == image_source.name for image_source in sources()):
        return data
    if path.exists():
        return str(path.resolve())
    return source(data).name


def _identify(data: str) -> tuple[str, Path | None]:
    """The SHA-256 that stands for the data's content, and where it lies (None for what comes with a library)."""
    if data == "digits":
        return DIGITS_SHA256, None
    path = Path(data).expanduser()
    if any(data == image_source.name for image_source in sources()):
        image_source = source(data)
        if image_source.where is None:
            raise DataError(
                f"data {data!r} is {image_source.state}; run `evenhand data fetch {data}`, or give the path of a copy"
            )
        if data == "fashion-mnist":
            return hashlib.sha256("".join(remote.md5 for remote in FASHION).encode()).hexdigest(), image_source.where
        path = image_source.where
    elif not path.exists():
        source(data)
    elif not path.is_dir():
        check_file(path)
    return checksum_of(path.resolve()), path


def checksum_of(path: Path) -> str:
    """SHA-256 of a file or folder, remembered for as long as names, sizes and times of change stay the same."""
    files = [path] if path.is_file() else readers.files_below(path)
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    note = home() / "checksums" / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    if note.exists():
        return note.read_text()
    checksum = readers.sha256_of(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    fresh = note.with_name(f"{note.name}.{os.getpid()}")
    fresh.write_text(checksum)
    fresh.replace(note)
    return checksum


def _open(data: str, path: Path | None) -> Collection:
    if path is None:
        return _verified_digits()
    if data == "fashion-mnist":
        for remote, debian in zip(FASHION, FASHION_DEBIAN, strict=True):
            checksum = md5_of(path / remote.name)
            if checksum not in (remote.md5, debian):
                raise DataError(f"{path / remote.name}: has MD5 {checksum}, expected {remote.md5}; remove it and fetch it again")
        return readers.fashion_mnist(path)
    return readers.Folder(path) if path.is_dir() else readers.Tar(path)


def _verified_digits() -> readers.Arrays:
    digits = readers.digits()
    levels = np.rint(digits.pixels * (16 / 255)).astype(np.uint8)
    checksum = hashlib.sha256(levels.tobytes() + digits.labels.astype(np.uint8).tobytes()).hexdigest()
    if checksum != DIGITS_SHA256:
        raise DataError(f"digits: this scikit-learn holds other ones (SHA-256 {checksum}, expected {DIGITS_SHA256})")
    return digits


def write(
    collection: Collection,
    splits: dict[str, list[ImageItem]],
    folder: Path,
    progress: Progress | None,
    *,
    checksum: str,
    size: int,
    split_seed: int,
    own_splits: bool,
) -> None:
    """Decode the chosen images into `folder`, each split a file of its own; `read` is the inverse. own_splits: as in Prepared."""
    classes = sorted({item.label for chosen in splits.values() for item in chosen})
    if len(classes) < 2:
        raise DataError(f"the data has the classes {classes}, expected at least two")
    mean, std = _write_images(collection, splits, size, folder, progress)
    for split, chosen in splits.items():
        np.save(folder / f"{split}-labels.npy", np.array([classes.index(item.label) for item in chosen], dtype=np.int64))
    meta = {
        "checksum": checksum,
        "size": size,
        "split_seed": split_seed,
        "classes": classes,
        "counts": {split: len(chosen) for split, chosen in splits.items()},
        "mean": mean,
        "std": std,
        "arrays": {split: digest_of(folder, split) for split in SPLITS},
        "own_splits": own_splits,
        "photos": collection.photos,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _write_images(
    collection: Collection, splits: dict[str, list[ImageItem]], size: int, folder: Path, progress: Progress | None
) -> tuple[list[float], list[float]]:
    """Each split's images as one file; the mean and standard deviation of the training images, from exact integer sums."""
    shapes = {split: (len(chosen), size, size, 3) for split, chosen in splits.items()}
    out = {
        split: np.lib.format.open_memmap(folder / f"{split}.npy", mode="w+", dtype=np.uint8, shape=shape)
        for split, shape in shapes.items()
    }
    places = {item.name: (split, index) for split, chosen in splits.items() for index, item in enumerate(chosen)}
    wanted = [item for chosen in splits.values() for item in chosen]
    total, squares, done = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64), 0
    for item, pixels in collection.images(wanted, size):
        split, index = places[item.name]
        out[split][index] = pixels
        if split == "train":
            whole = pixels.astype(np.int64)
            total += whole.sum(axis=(0, 1))
            squares += (whole * whole).sum(axis=(0, 1))
        done += 1
        if progress and (done % 50 == 0 or done == len(wanted)):
            progress(done, len(wanted))
    if done < len(wanted):
        raise DataError(f"the data changed while it was read: {done} of {len(wanted)} images were found; try again")
    for array in out.values():
        array.flush()
    count = len(splits["train"]) * size * size
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # a constant channel would otherwise divide by zero
    return mean.tolist(), std.tolist()


def digest_of(folder: Path, split: str) -> str:
    """SHA-256 (hex) that stands for one split's examples and labels."""
    files = (folder / f"{split}.npy", folder / f"{split}-labels.npy")
    return hashlib.sha256("".join(readers.sha256_of(file) for file in files).encode()).hexdigest()


def choose_splits(items: Sequence[ImageItem], split_seed: int) -> dict[str, list[ImageItem]]:
    """Which image goes where. A source with train, validation and test splits of its own keeps them.

    Otherwise all are pooled and drawn anew, each class in its share: 500 for validation and 500 for test (at most a sixth of
    all each), the rest, at most 13,000, for training. Within a class the draw depends on the split seed and the class only.
    """
    if {item.split for item in items} == set(SPLITS):
        return {split: [item for item in items if item.split == split] for split in SPLITS}
    groups: dict[str, list[ImageItem]] = {}
    for item in items:
        groups.setdefault(item.label, []).append(item)
    held_out = min(HELD_OUT_IMAGES, len(items) // HELD_OUT_DIVISOR)
    sizes = {"validation": held_out, "test": held_out, "train": min(MOST_TRAINING_IMAGES, len(items) - 2 * held_out)}
    left = {label: len(group) for label, group in groups.items()}
    pools = {label: shuffled(group, derive_seed(split_seed, "split", label)) for label, group in groups.items()}
    chosen: dict[str, list[ImageItem]] = {}
    for split, count in sizes.items():
        quota = shares(left, count)
        drawn = [item for label in sorted(groups) for item in pools[label][: quota[label]]]
        for label in groups:
            pools[label] = pools[label][quota[label] :]
            left[label] -= quota[label]
        chosen[split] = sorted(drawn, key=lambda item: item.name)
    return {split: chosen[split] for split in SPLITS}


def shuffled(group: Sequence[T], seed: int) -> list[T]:
    """`group` in an order that depends on the seed and its length only."""
    keys = np.random.PCG64(seed).random_raw(len(group))  # raw bits: the same in every version of NumPy
    return [group[index] for index in np.argsort(keys, kind="stable")]


def shares(available: dict[str, int], count: int) -> dict[str, int]:
    """`count` divided over classes in proportion to what each has: whole parts, then the largest remainders."""
    total = sum(available.values())
    exact = {label: count * have / total for label, have in available.items()}
    quota = {label: int(part) for label, part in exact.items()}
    by_remainder = sorted(available, key=lambda label: (quota[label] - exact[label], label))
    for label in by_remainder[: count - sum(quota.values())]:
        quota[label] += 1
    return quota


def describe(prepared: PreparedImages) -> dict[str, int | float | str]:
    """What tuners may know of the data: its statistics, never its name or its classes' names. Levels are computed once."""
    return {
        "classes": len(prepared.classes),
        "training images": prepared.counts["train"],
        "validation images": prepared.counts["validation"],
        "test images": prepared.counts["test"],
        "image size": f"{prepared.size} x {prepared.size} pixels",
        **levels.kept(home() / "levels" / f"{prepared.folder.name}.json", prepared.load),
    }

"""Reading images where they lie: folders and archives of SPLIT/CLASS/FILE, Fashion-MNIST's IDX files, scikit-learn's digits."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from evenhand.errors import DataError

Pixels = NDArray[np.uint8]  # (size, size, 3), or (N, size, size, 3)
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
UNREAD_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".dng", ".cr2", ".nef", ".arw", ".psd"})
NOT_OF_THE_DATA = "__MACOSX"  # a folder that archives of macOS have; those that begin with a dot are not either
SHOWN = 20  # damaged files that an error names
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
LAYOUT = "SPLIT/CLASS/FILE, with splits named train, validation (or val) and test"
UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, struct.error)
BROKEN_ARCHIVE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, lzma.LZMAError)
READ_BYTES = 1 << 20
MOST_PICTURE_BYTES = 1 << 29  # of one picture's file


@dataclass(frozen=True)
class ImageItem:
    """One image: the split it comes in, its class as the source names it, and its name for errors and for a fixed order."""

    split: str
    label: str
    name: str


class Collection(Protocol):
    """Images of one source: a listing without decoding, then the chosen ones decoded, in any order."""

    @property
    def photos(self) -> bool:
        """Whether a mirrored image is as good an example of its class."""

    def items(self) -> list[ImageItem]:
        """All images, in an order that depends on the source's content only."""

    def others(self) -> list[PurePosixPath]:
        """The files that are no images, but for those that programs keep beside the data."""

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """Each wanted image once, as (size, size, 3)."""


def square(image: Image.Image, size: int) -> Pixels:
    """An image as (size, size, 3) uint8: the middle square, resized with a bilinear filter over the whole area; grey thrice."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


class Damaged(DataError):
    """A file cannot be read as an image. where: which one; why: in words."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: cannot be read as an image ({why}); replace or remove this file")
        self.where, self.why = where, why


def decode(content: bytes, size: int, where: str) -> Pixels:
    """An encoded image as `square` gives it; `Damaged` naming `where` if it is that."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return square(_eight_bits(ImageOps.exif_transpose(image)), size)
    except MemoryError as error:
        raise Damaged(where, "it takes more memory than there is") from error
    except UNREADABLE as error:
        raise Damaged(where, str(error) or type(error).__name__) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of 8 bits a channel: 16 bits are spread over them, numbers from 0 to 1, too. ValueError for other numbers."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    most = 1.0 if image.mode == "F" else 65_535.0
    if not (low >= 0 and high <= most):  # nan, too
        raise ValueError(f"its pixels are from {low:g} to {high:g}, expected 0 to {most:g}; save it with 8 or 16 bits a channel")
    return Image.fromarray(np.rint(values.astype(np.float64) * (255 / most)).astype(np.uint8))


def picture_in(path: Path) -> bytes:
    """What a picture's file holds; `Damaged` where it is larger than any picture that is read."""
    _check_bytes(path.stat().st_size, str(path))
    return path.read_bytes()


def _check_bytes(size: int, where: str) -> None:
    if size > MOST_PICTURE_BYTES:
        raise Damaged(where, f"it has {size >> 20} MB, expected {MOST_PICTURE_BYTES >> 20} at most")


def decoded(files: Iterable[tuple[ImageItem, Callable[[], bytes], str]], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
    """Images one by one: of each its item, what reads it, and its name. At the end DataError naming all that are damaged."""
    damaged: list[Damaged] = []
    for item, content, where in files:
        try:
            pixels = decode(content(), size, where)
        except Damaged as error:
            damaged.append(error)
        except OSError as error:
            damaged.append(Damaged(where, error.strerror or type(error).__name__))
        else:
            yield item, pixels
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        named = "; ".join(f"{error.where} ({error.why})" for error in damaged[:SHOWN])
        more = f"; and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        raise DataError(f"{len(damaged)} files cannot be read as images: {named}{more}; replace or remove these files")


def is_of_the_data(path: PurePosixPath) -> bool:
    """Whether a file belongs to the data: no part of its path begins with a dot, as what programs keep beside it does."""
    return not any(part.startswith(".") or part == NOT_OF_THE_DATA for part in path.parts)


def images_among(paths: Iterable[PurePosixPath], source: Path) -> list[PurePosixPath]:
    """The images of a source; DataError where there are pictures among them that nothing here reads."""
    own = [path for path in paths if is_of_the_data(path)]
    unread = sorted(path for path in own if path.suffix.lower() in UNREAD_SUFFIXES)
    if unread:
        kinds = ", ".join(sorted({path.suffix.lower() for path in unread}))
        raise DataError(
            f"{source}: {len(unread)} pictures, such as {unread[0]}, are of a kind that is not read here ({kinds}); save them as "
            "JPEG or PNG, or take them out"
        )
    return [path for path in own if path.suffix.lower() in SUFFIXES]


def others_among(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """The files of the data that are no images."""
    return [path for path in paths if is_of_the_data(path) and path.suffix.lower() not in SUFFIXES]


def paths_below(folder: Path) -> list[PurePosixPath]:
    """Every file below a folder, by its path within it."""
    return [PurePosixPath(file.relative_to(folder).as_posix()) for file in files_below(folder)]


def _item(path: PurePosixPath, source: Path) -> ImageItem:
    """The image at SPLIT/CLASS/FILE, below any further folders."""
    if len(path.parts) < 3 or path.parts[-3].lower() not in SPLIT_NAMES:
        raise DataError(f"{source}: holds the image {path}, expected {LAYOUT}")
    return ImageItem(SPLIT_NAMES[path.parts[-3].lower()], path.parts[-2], str(path))


def _listed(paths: Iterable[PurePosixPath], source: Path) -> list[ImageItem]:
    items = [_item(path, source) for path in images_among(paths, source)]
    if not items:
        raise DataError(f"{source}: holds no images, expected {LAYOUT}")
    return sorted(items, key=lambda item: item.name)


@dataclass(frozen=True)
class Folder:
    """A folder of SPLIT/CLASS/FILE."""

    path: Path
    photos: bool = True

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path."""
        return _listed(paths_below(self.path), self.path)

    def others(self) -> list[PurePosixPath]:
        """The files that are no images, but for those that programs keep beside the data."""
        return others_among(paths_below(self.path))

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the order given."""
        files = ((item, self.path / item.name) for item in wanted)
        yield from decoded(((item, partial(picture_in, file), str(file)) for item, file in files), size)


@dataclass(frozen=True)
class Tar:
    """A tar archive of SPLIT/CLASS/FILE, plain or compressed; read as a stream, never unpacked to disk."""

    path: Path
    photos: bool = True

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path in the archive."""
        return _listed([_plain(member.name) for member, _ in self._members()], self.path)

    def others(self) -> list[PurePosixPath]:
        """The files that are no images, but for those that programs keep beside the data."""
        return others_among(_plain(member.name) for member, _ in self._members())

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the archive's order."""
        yield from decoded(self._opened({item.name: item for item in wanted}), size)

    def _opened(self, by_name: dict[str, ImageItem]) -> Iterator[tuple[ImageItem, Callable[[], bytes], str]]:
        for member, archive in self._members():
            item = by_name.pop(str(_plain(member.name)), None)
            stream = archive.extractfile(member) if item else None
            if item and stream:
                where = f"{member.name} in {self.path}"
                yield item, partial(_member_of, stream, member.size, where), where

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        end = 0
        try:
            with _unpacked(self.path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    end = member.offset_data - member.size // -tarfile.BLOCKSIZE * tarfile.BLOCKSIZE  # rounded up
                    if member.isfile():
                        yield member, archive
                while stream.read(READ_BYTES):
                    pass  # to the end, where a compressed file keeps its checksum
                if stream.tell() < end + tarfile.BLOCKSIZE:
                    raise EOFError("it ends before its end marker")  # tarfile itself takes this for the end
        except BROKEN_ARCHIVE as error:
            raise DataError(f"{self.path}: cannot be read as a tar archive ({error}); bring a whole copy of it") from error


def _member_of(stream: IO[bytes], size: int, where: str) -> bytes:
    _check_bytes(size, where)
    return stream.read()


def _unpacked(path: Path) -> IO[bytes]:
    """The archive as a stream of what its compression, told by its first bytes, holds."""
    with path.open("rb") as stream:
        first = stream.read(6)
    for magic, opened in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if first.startswith(magic):
            return cast(IO[bytes], opened(path, "rb"))
    return path.open("rb")


def _plain(name: str) -> PurePosixPath:
    return PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in (".", "/")))


@dataclass(frozen=True)
class Arrays:
    """Small grey images that are in memory already. pixels: (N, height, width) uint8; labels: (N,) of class numbers."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    photos: bool = False

    def items(self) -> list[ImageItem]:
        """One item an image, named by its number."""
        return [ImageItem("all", f"{label:02d}", f"{index:06d}") for index, label in enumerate(self.labels)]

    def others(self) -> list[PurePosixPath]:
        """Nothing."""
        return []

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the order given."""
        for item in wanted:
            yield item, square(Image.fromarray(self.pixels[int(item.name)]), size)


def idx(path: Path) -> NDArray[np.uint8]:
    """The array in a gzipped IDX file of bytes: two zeros, type 8, the rank, each length (big-endian), the data."""
    try:
        content = gzip.decompress(path.read_bytes())
        rank = content[3]
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError, IndexError) as error:
        raise DataError(f"{path}: cannot be read as a gzipped IDX file ({error}); fetch it again") from error


def fashion_mnist(folder: Path) -> Arrays:
    """All 70,000 images of Fashion-MNIST, 28 x 28, from the four IDX files in `folder`: the training ones first."""
    pixels = np.concatenate([idx(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")])
    labels = np.concatenate([idx(folder / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")])
    return Arrays(pixels, labels.astype(np.int64))


def digits() -> Arrays:
    """scikit-learn's 1,797 handwritten digits, 8 x 8, their 17 grey levels spread over 0 to 255."""
    from sklearn.datasets import load_digits  # a second of imports that only this source needs

    bunch = load_digits()
    return Arrays(np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64))


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, ordered by path.

    DataError for a link to a folder, which is not followed, for one to nothing, and for a pipe or a device.
    """
    files = []
    for root, folders, names in os.walk(folder):
        place = PurePosixPath(Path(root).relative_to(folder).as_posix())
        linked = next((name for name in folders if (Path(root) / name).is_symlink() and is_of_the_data(place / name)), None)
        if linked is not None:
            raise DataError(f"{Path(root) / linked}: is a link to a folder, and those are not followed; put the folder there")
        files += [Path(root) / name for name in names]
        own = [Path(root) / name for name in names if is_of_the_data(place / name)]
        odd = next((path for path in own if _is_special(path)), None)
        if odd is not None:
            raise DataError(f"{odd}: is a pipe, a socket or a device, expected files; take it out of the folder")
        broken = next((path for path in files[len(files) - len(names) :] if path.is_symlink() and not path.exists()), None)
        if broken is not None:
            raise DataError(f"{broken}: is a link to what is not there; remove it, or bring the file that it is meant for")
    return sorted(files)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, or of the names and contents of all files below a folder."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    total = hashlib.sha256()
    for file in files_below(path):
        name = file.relative_to(path).as_posix().encode(errors="surrogateescape")  # a name need be no text
        total.update(len(name).to_bytes(4, "big") + name + bytes.fromhex(sha256_of(file)))
    return total.hexdigest()

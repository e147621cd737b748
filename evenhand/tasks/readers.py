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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from evenhand.errors import DataError

Pixels = NDArray[np.uint8]  # (size, size, 3), or (N, size, size, 3)
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
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
BROKEN_ARCHIVE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
READ_BYTES = 1 << 20


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

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """Each wanted image once, as (size, size, 3)."""


def square(image: Image.Image, size: int) -> Pixels:
    """An image as (size, size, 3) uint8: the middle square, resized with a bilinear filter over the whole area; grey thrice."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def decode(content: bytes, size: int, where: str) -> Pixels:
    """An encoded image as `square` gives it; DataError naming `where` if it is damaged."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return square(ImageOps.exif_transpose(image), size)
    except UNREADABLE as error:
        raise DataError(
            f"{where}: cannot be read as an image ({str(error) or type(error).__name__}); replace or remove this file"
        ) from error


def _item(path: PurePosixPath, source: Path) -> ImageItem | None:
    """The image at SPLIT/CLASS/FILE, below any further folders; None for other files."""
    if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
        return None
    if len(path.parts) < 3 or path.parts[-3].lower() not in SPLIT_NAMES:
        raise DataError(f"{source}: holds the image {path}, expected {LAYOUT}")
    return ImageItem(SPLIT_NAMES[path.parts[-3].lower()], path.parts[-2], str(path))


def _listed(paths: Iterable[PurePosixPath], source: Path) -> list[ImageItem]:
    items = [item for item in (_item(path, source) for path in paths) if item]
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
        return _listed((PurePosixPath(file.relative_to(self.path).as_posix()) for file in files_below(self.path)), self.path)

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the order given."""
        for item in wanted:
            file = self.path / item.name
            yield item, decode(file.read_bytes(), size, str(file))


@dataclass(frozen=True)
class Tar:
    """A tar archive of SPLIT/CLASS/FILE, plain or compressed; read as a stream, never unpacked to disk."""

    path: Path
    photos: bool = True

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path in the archive."""
        return _listed([_plain(member.name) for member, _ in self._members()], self.path)

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the archive's order."""
        by_name = {item.name: item for item in wanted}
        for member, archive in self._members():
            item = by_name.pop(str(_plain(member.name)), None)
            stream = archive.extractfile(member) if item else None
            if item and stream:
                yield item, decode(stream.read(), size, f"{member.name} in {self.path}")

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
    """Every file below `folder`, ordered by path."""
    return sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)


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

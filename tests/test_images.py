"""Image data: split once, stored once, never half; downloads that continue; damage that names the file."""

import gzip
import hashlib
import io
import json
import lzma
import multiprocessing
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenhand.errors import DataError, InvalidSettings
from evenhand.tasks.builders import pictures
from evenhand.tasks.builtin import images
from evenhand.tasks.download import Remote, download, part_of
from evenhand.tasks.readers import ImageItem
from tests.components import PHOTOS


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a data directory of its own."""
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def picture(color: tuple[int, int, int], size: tuple[int, int] = (20, 12), kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind)
    return out.getvalue()


def folder_of(root: Path, counts: dict[tuple[str, str], int]) -> Path:
    """SPLIT/CLASS/NUMBER.png, each class in a colour of its own, each picture a little different."""
    for (split, label), count in counts.items():
        place = root / split / label
        place.mkdir(parents=True)
        for number in range(count):
            (place / f"{number}.png").write_bytes(picture((10 * int(label[1:]) + 5, number % 256, 0)))
    return root


def archive_of(folder: Path, target: Path, top: str = "") -> Path:
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, arcname=top or ".")
    return target


@pytest.mark.slow
def test_digits_are_split_once_for_all(own_data: Path) -> None:
    first = images.prepare("digits", 32, 0)
    assert first.counts == {"train": 1199, "validation": 299, "test": 299}
    assert images.prepare("digits", 32, 0) == first
    pixels, labels = first.load("train")
    assert pixels.shape == (1199, 32, 32, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert pixels.astype(float).mean() == pytest.approx(first.mean[0])
    assert pixels.astype(float).std() == pytest.approx(first.std[0])
    assert set(np.bincount(labels)) <= set(range(110, 130))
    assert not first.photos
    other = images.prepare("digits", 32, 1)
    assert other.arrays["test"] != first.arrays["test"]
    assert not list(own_data.rglob("*.new"))


def test_only_the_asked_split_is_read() -> None:
    prepared = images.prepare("digits", 17, 0)
    for name in ("test.npy", "test-labels.npy"):
        (prepared.folder / name).unlink()
    again = images.prepare("digits", 17, 0)
    assert len(again.load("train")[0]) == 1199
    assert len(again.load("validation")[1]) == 299
    with pytest.raises(FileNotFoundError):
        again.load("test")


def test_a_folder_with_three_splits_keeps_them(tmp_path: Path) -> None:
    counts = {("train", "c0"): 6, ("train", "c1"): 5, ("val", "c0"): 2, ("val", "c1"): 3, ("test", "c0"): 1, ("test", "c1"): 2}
    prepared = images.prepare(str(folder_of(tmp_path / "photos", counts)), 16, 0)
    assert prepared.own_splits
    assert prepared.counts == {"train": 11, "validation": 5, "test": 3}
    assert prepared.classes == ("c0", "c1")
    assert prepared.photos
    pixels, labels = prepared.load("validation")
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert pixels[:, 0, 0, 0].tolist() == [5, 5, 15, 15, 15]
    assert pixels[:, 0, 0, 1].tolist() == [0, 1, 0, 1, 2]


def test_a_folder_without_three_splits_is_pooled_and_drawn_anew_by_class(tmp_path: Path) -> None:
    counts = {("train", "c0"): 60, ("val", "c0"): 12, ("train", "c1"): 36}
    folder = folder_of(tmp_path / "photos", counts)
    prepared = images.prepare(str(folder), 16, 3)
    assert not prepared.own_splits
    assert prepared.counts == {"train": 72, "validation": 18, "test": 18}
    label_counts = {split: Counter(prepared.load(split)[1].tolist()) for split in images.SPLITS}
    assert label_counts == {"train": {0: 48, 1: 24}, "validation": {0: 12, 1: 6}, "test": {0: 12, 1: 6}}
    tarred = images.prepare(str(archive_of(folder, tmp_path / "photos.tgz")), 16, 3)
    assert tarred.arrays == prepared.arrays  # the same images, however they are packed


def test_splits_of_imagenette_s_size_are_those_of_the_design() -> None:
    items = [ImageItem("train" if n % 3 else "validation", f"{n % 10}", f"{n:05d}") for n in range(13_394)]
    chosen = images.choose_splits(items, 0)
    assert {split: len(items) for split, items in chosen.items()} == {"train": 12_394, "validation": 500, "test": 500}
    names = [item.name for items in chosen.values() for item in items]
    assert len(set(names)) == 13_394
    assert set(Counter(item.label for item in chosen["test"]).values()) == {50}
    again = images.choose_splits(items, 0)
    assert again == chosen
    assert images.choose_splits(items, 1) != chosen


def test_a_large_collection_gives_the_study_s_counts() -> None:
    items = [ImageItem("all", f"{n % 7}", f"{n:05d}") for n in range(20_000)]
    chosen = images.choose_splits(items, 0)
    assert {split: len(items) for split, items in chosen.items()} == {"train": 13_000, "validation": 500, "test": 500}
    assert max(Counter(item.label for item in chosen["test"]).values()) <= 72


def test_shares_are_whole_and_add_up() -> None:
    assert images.shares({"a": 50, "b": 30, "c": 21}, 10) == {"a": 5, "b": 3, "c": 2}
    assert sum(images.shares({"a": 1, "b": 1, "c": 1}, 2).values()) == 2


def test_a_damaged_image_is_named_and_nothing_is_left_behind(tmp_path: Path, own_data: Path) -> None:
    folder = folder_of(tmp_path / "photos", {("train", "c0"): 9, ("train", "c1"): 9})
    (folder / "train" / "c1" / "3.png").write_bytes(picture((1, 2, 3))[:40])
    for data, words in ((folder, "c1/3.png"), (archive_of(folder, tmp_path / "photos.tar.gz", "top"), "top/train/c1/3.png in ")):
        with pytest.raises(DataError, match=words) as caught:
            images.prepare(str(data), 16, 0)
        assert "replace or remove" in str(caught.value)
    assert not list(own_data.rglob("*.npy"))
    (folder / "train" / "c1" / "3.png").unlink()
    assert images.prepare(str(folder), 16, 0).counts["train"] == 13


@pytest.mark.slow
def test_a_truncated_archive_and_a_wrong_layout_are_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", {("train", "c0"): 9, ("train", "c1"): 9})
    whole = archive_of(folder, tmp_path / "photos.tgz").read_bytes()
    plain = gzip.decompress(whole)
    for content in (whole, plain, lzma.compress(plain)):
        (tmp_path / "whole").write_bytes(content)
        assert images.prepare(str(tmp_path / "whole"), 16, 0).counts["train"] == 12
        for kept in range(1, 60):
            (tmp_path / "cut").write_bytes(content[: len(content.rstrip(b"\0")) * kept // 60])
            with pytest.raises(DataError, match="cannot be read as a tar archive"):
                images.prepare(str(tmp_path / "cut"), 16, 0)
    with pytest.raises(DataError, match="SPLIT/CLASS/FILE"):
        images.prepare(str(folder / "train"), 16, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        images.prepare(str(tmp_path / "empty"), 16, 0)
    one = folder_of(tmp_path / "one", {("train", "c0"): 9})
    with pytest.raises(DataError, match="at least two"):
        images.prepare(str(one), 16, 0)


def test_unknown_data_lists_the_sources() -> None:
    for call in (images.locate, lambda name: images.prepare(name, 16, 0)):
        with pytest.raises(DataError, match=r"imagenette, fashion-mnist, digits"):
            call("no-such-data")
    with pytest.raises(DataError, match="data fetch imagenette"):
        images.prepare("imagenette", 16, 0)
    with pytest.raises(InvalidSettings, match="0"):
        images.prepare("digits", 0, 0)


def test_a_changed_folder_is_prepared_anew(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", {("train", "c0"): 9, ("train", "c1"): 9})
    first = images.prepare(str(folder), 16, 0)
    (folder / "train" / "c0" / "0.png").write_bytes(picture((200, 200, 200)))
    second = images.prepare(str(folder), 16, 0)
    assert first.checksum != second.checksum
    assert first.arrays != second.arrays


def test_pictures_of_every_kind_become_square_colour(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for label in ("a", "b"):
            (tmp_path / "kinds" / split / label).mkdir(parents=True)
    kinds = {"grey.png": ("L", 77), "clear.png": ("RGBA", (9, 8, 7, 255)), "flat.gif": ("P", 3), "photo.jpg": ("RGB", (9, 8, 7))}
    for split in ("train", "val", "test"):
        for label in ("a", "b"):
            for name, (mode, color) in kinds.items():
                Image.new(mode, (40, 30), color).save(tmp_path / "kinds" / split / label / name)  # type: ignore[arg-type]
            (tmp_path / "kinds" / split / label / ".hidden.png").write_text("not an image")
            (tmp_path / "kinds" / split / label / "notes.txt").write_text("not an image")
    prepared = images.prepare(str(tmp_path / "kinds"), 20, 0)
    pixels, _ = prepared.load("train")
    assert pixels.shape == (8, 20, 20, 3)
    assert (pixels[2] == 77).all()
    assert (pixels[0] == (9, 8, 7)).all()


def test_the_middle_square_is_taken(tmp_path: Path) -> None:
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, 16:32] = 255
    for split in ("train", "val", "test"):
        for label in ("a", "b"):
            place = tmp_path / "wide" / split / label
            place.mkdir(parents=True)
            Image.fromarray(wide).save(place / "1.png")
    assert (images.prepare(str(tmp_path / "wide"), 16, 0).load("test")[0] == 255).all()


@pytest.mark.slow
def test_two_processes_at_once_prepare_one_set(own_data: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        prepared_folders = pool.starmap(images.prepare, [("digits", 24, 5)] * 2)
    assert prepared_folders[0] == prepared_folders[1]
    assert len([path for path in (own_data / "datasets" / "prepared").iterdir() if path.is_dir()]) == 1


def test_what_tuners_may_know_names_nothing() -> None:
    text = json.dumps(images.describe(images.prepare("digits", 17, 0)))
    assert "digit" not in text
    assert json.loads(text)["training images"] == 1199


@pytest.mark.needs("fashion-mnist")
def test_fashion_mnist_from_debian_s_package() -> None:
    source = images.source("fashion-mnist")
    assert (source.state, source.where) == ("ready", images.DEBIAN_FASHION)
    assert images.best_at_hand() == "fashion-mnist"
    prepared = images.prepare("fashion-mnist", 28, 0)
    assert prepared.counts == {"train": 13_000, "validation": 500, "test": 500}
    labels = prepared.load("train")[1]
    assert set(np.bincount(labels)) == {1300}


def test_a_broken_fashion_mnist_is_refused(tmp_path: Path, own_data: Path) -> None:
    folder = own_data / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for remote in images.FASHION:
        (folder / remote.name).write_bytes(b"not this")
    with pytest.raises(DataError, match="has MD5"):
        images.prepare("fashion-mnist", 28, 0)


@pytest.mark.slow
@pytest.mark.needs("photos")
def test_the_shared_photos_keep_their_splits() -> None:
    seen: list[tuple[int, int | None]] = []
    prepared = images.prepare(str(PHOTOS), 32, 0, lambda done, total: seen.append((done, total)))
    assert prepared.counts == {"train": 13_000, "validation": 500, "test": 500}
    assert prepared.own_splits
    assert len(prepared.classes) == 10
    assert seen[-1] == (14_000, 14_000)
    with tarfile.open(PHOTOS) as archive:
        name = sorted(name for name in archive.getnames() if name.startswith("test/airplane/"))[0]
        stream = archive.extractfile(name)
        assert stream is not None
        assert np.array_equal(prepared.load("test")[0][0], np.asarray(Image.open(stream)))


class Host:
    """A real HTTP server of one file; it can understand ranges or not, and hang up after so many bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.ranges, self.cut = content, True, len(content)
        self.asked: list[str | None] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                host.asked.append(wanted)
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
                if start >= len(host.content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(host.content) - start))
                self.end_headers()
                self.wfile.write(host.content[start : start + host.cut])
                self.wfile.flush()
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def remote(self) -> Remote:
        md5 = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return Remote(f"http://127.0.0.1:{self.server.server_port}/data.tgz", md5, len(self.content))


@pytest.fixture
def host() -> Iterator[Host]:
    one = Host(np.random.default_rng(0).bytes(900_000))
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_download_arrives_whole_and_says_how_far_it_is(host: Host, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "data.tgz"
    download(host.remote, target, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == host.content
    assert seen[-1] == (900_000, 900_000)
    assert len(seen) > 2
    download(host.remote, target)
    assert host.asked == [None]


def test_a_broken_download_is_continued_where_it_broke(host: Host, tmp_path: Path) -> None:
    host.cut = 200_000
    target = tmp_path / "data.tgz"
    with pytest.raises(DataError, match="600,000 bytes are kept"):
        download(host.remote, target)
    assert not target.exists()
    assert part_of(target).stat().st_size == 600_000
    download(host.remote, target)
    assert target.read_bytes() == host.content
    assert not part_of(target).exists()
    assert host.asked == [None, "bytes=200000-", "bytes=400000-", "bytes=600000-", "bytes=800000-"]


def test_a_host_without_ranges_starts_again(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "data.tgz"
    part_of(target).write_bytes(b"something else entirely")
    host.ranges = False
    download(host.remote, target)
    assert target.read_bytes() == host.content


def test_a_wrong_file_is_removed_and_said(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "data.tgz"
    remote = host.remote
    part_of(target).write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=f"expected {remote.md5}"):
        download(remote, target)
    assert not target.exists()
    assert not part_of(target).exists()
    part_of(target).write_bytes(b"x" * 1_000_000)  # longer than the file: the host has nothing to add
    with pytest.raises(DataError, match="has MD5"):
        download(remote, target)
    download(remote, target)
    assert target.exists()


def test_no_host_is_said_with_what_to_do(tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:9/data.tgz", "0" * 32, 1)
    with pytest.raises(DataError, match="give its path"):
        download(remote, tmp_path / "data.tgz")


def test_a_source_is_fetched_with_its_state_shown(host: Host, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(host.remote.url.replace("data.tgz", "imagenette2-160.tgz"), host.remote.md5, host.remote.size)
    monkeypatch.setattr(images, "IMAGENETTE", remote)
    assert images.source("imagenette").state == "not here"
    host.cut = 100_000
    with pytest.raises(DataError):
        images.fetch("imagenette")
    partial = images.source("imagenette")
    assert (partial.state, partial.received) == ("partly downloaded", 300_000)
    host.cut = len(host.content)
    seen: list[int] = []
    ready = images.fetch("imagenette", lambda done, total: seen.append(done))
    assert ready.state == "ready"
    assert ready.where == own_data / "datasets" / "imagenette" / "imagenette2-160.tgz"
    assert seen[-1] == len(host.content)
    assert images.best_at_hand() == "imagenette"
    assert images.fetch("imagenette") == ready
    assert images.fetch("digits").state == "ready"


def classes_of(folder: Path, make: Callable[[Path], None], suffix: str = ".png", where: Sequence[str] = ("a", "b")) -> Path:
    """A folder of classes, with six pictures in each that `make` makes."""
    for label in where:
        (folder / label).mkdir(parents=True)
        for number in range(6):
            make(folder / label / f"{number}{suffix}")
    return folder


def plain(path: Path) -> None:
    path.write_bytes(picture((1, 2, 3)))


def test_pictures_of_16_bits_and_of_shares_are_spread_over_8_bits(tmp_path: Path) -> None:
    deep = np.full((8, 8), 2000, dtype=np.uint16)
    deep[:, 4:] = 60_000
    sixteen = classes_of(tmp_path / "sixteen", lambda path: Image.fromarray(deep).save(path))
    values = pictures(sixteen, 8).load("train")[0]
    assert sorted({int(value) for value in np.unique(values)}) == [8, 233]  # 2000 / 257 and 60000 / 257, rounded
    shares = np.full((8, 8), 0.5, dtype=np.float32)
    floats = classes_of(tmp_path / "floats", lambda path: Image.fromarray(shares).save(path), ".tif")
    assert set(np.unique(pictures(floats, 8).load("train")[0])) == {128}
    odd = classes_of(tmp_path / "odd", lambda path: Image.fromarray(shares * 1000).save(path), ".tif")
    with pytest.raises(DataError, match=r"12 files cannot be read as images: .*a/0\.tif \(its pixels are from 500 to 500"):
        pictures(odd, 8)


def test_what_is_no_data_is_passed_over_and_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    folder = classes_of(tmp_path / "own", plain)
    for beside in (".ipynb_checkpoints", "__MACOSX"):
        (folder / beside).mkdir()
        plain(folder / beside / "x.png")
    (folder / "a" / "0.png").rename(folder / "a" / "0.jfif")
    assert pictures(folder, 8).classes == ("a", "b")
    (folder / "a" / "photo.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 pictures, such as a/photo\.heic, are of a kind that is not read here \(\.heic\)"):
        pictures(folder, 8)
    (folder / "a" / "photo.heic").unlink()
    for number in (1, 2):
        (folder / "b" / f"{number}.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"2 files cannot be read as images: .*b/1\.png .*b/2\.png .*replace or remove these"):
        pictures(folder, 8)
    (folder / "a" / "gone.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"gone\.png: is a link to what is not there"):
        pictures(folder, 8)
    (folder / "a" / "gone.png").unlink()
    (folder / "c").symlink_to(classes_of(tmp_path / "elsewhere", plain, where=["c"]) / "c")
    with pytest.raises(DataError, match=r"c: is a link to a folder, and those are not followed"):
        pictures(folder, 8)


def test_folders_of_splits_are_that_also_beside_others(tmp_path: Path) -> None:
    folder = tmp_path / "splits"
    for split in ("train", "valid", "test"):
        classes_of(folder / split, plain)
    (folder / "notes").mkdir()
    (folder / "notes" / "read me.txt").write_text("no image")
    prepared = pictures(folder, 8)
    assert (prepared.classes, prepared.counts) == (("a", "b"), {"train": 12, "validation": 12, "test": 12})
    (folder / "previews").mkdir()
    plain(folder / "previews" / "x.png")
    with pytest.raises(DataError, match=r"holds the image previews/x\.png, expected SPLIT/CLASS/FILE"):
        pictures(folder, 8)


def test_what_pictures_were_taken_for_is_kept_with_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", {("train", "c1"): 9, ("train", "c2"): 9})
    (folder / "train" / "c1" / "notes.txt").write_text("x")
    (folder / "train" / "c1" / "Thumbs.db").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    prepared = images.prepare(str(folder), 8, 0)
    account = images.splits(prepared.folder, prepared.load).account
    assert account is not None
    assert account.source == f"{folder}: 18 pictures, 2 classes"
    counts = [[int(part.split()[0]) for part in row[2].split(", ")] for row in account.rows]
    assert [sum(numbers) for numbers in zip(*counts, strict=True)] == [12, 3, 3]
    assert account.rows[0][:2] == ("c1", "a class")
    assert account.rows[0][4] == "0.png · 1.png · 2.png"
    assert account.remarks == ("2 files of other kinds than pictures passed over: .db (1), .txt (1)",)


def test_an_archive_says_the_same_as_its_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", {("train", "c1"): 9, ("train", "c2"): 9})
    (folder / "train" / "c1" / "notes.txt").write_text("x")
    both = [images.prepare(str(path), 8, 0) for path in (folder, archive_of(folder, tmp_path / "x.tar.gz"))]
    first, second = (images.splits(prepared.folder, prepared.load).account for prepared in both)
    assert first is not None
    assert second is not None
    assert (first.rows, first.remarks) == (second.rows, second.remarks)

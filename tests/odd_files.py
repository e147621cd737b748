"""Files as damage, other programs and other machines leave them: what is done to the bytes of a whole file, drawn with a seed."""

import bz2
import gzip
import io
import lzma
import random
import re
import zipfile
from collections.abc import Callable

HUGE_COUNTS = (b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x80")
NUMBER_PATTERN = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
ODD_NUMBERS = (
    *(b"", b"-1", b"0", b"1e400", b"-1e400", b"nan", b"inf", b"NaN", b"0x10", b"1,5", b"1e-400", b"99999999", b"12345678901"),
    *(b"9" * 40, b"9" * 5000, "²".encode(), "١٢".encode(), b"null", b"true", b"{}", b"[]", b'"1"', b"1_000", b"-0.0", b"1e308"),
)
ODD_PARTS = (
    *(
        b"\x00",
        b"\x00" * 9,
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x80",
        b"\xe9",
        b"\r",
        b"\r\n",
        b"\n",
        b"\x1a",
        b'"',
    ),
    *(b"'", b",", b";", b"\t", b":", b"=", b"\\", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b"@data\n", b"#", b"%", b"-"),
    *(
        "\u2028".encode(),
        "\u202e".encode(),
        "\x85".encode(),
        b"[" * 20_000,
        b'{"a":' * 5_000,
        b"x" * 200_000,
        b"=1+1",
        b"../../x",
    ),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252", "utf-32", "utf-7")

Change = Callable[[bytes, random.Random], bytes]


def cut(content: bytes, draw: random.Random) -> bytes:
    """Only the beginning."""
    return content[: draw.randrange(len(content) + 1)]


def headless(content: bytes, draw: random.Random) -> bytes:
    """Only the end."""
    return content[draw.randrange(len(content) + 1) :]


def flipped(content: bytes, draw: random.Random) -> bytes:
    """A few bits are others."""
    spoilt = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8)) if spoilt else 0):
        spoilt[draw.randrange(len(spoilt))] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def counted(content: bytes, draw: random.Random) -> bytes:
    """Four bytes of the first 2,000 hold a huge count."""
    place = draw.randrange(min(len(content), 2_000) + 1)
    return content[:place] + draw.choice(HUGE_COUNTS) + content[place + 4 :]


def other_number(content: bytes, draw: random.Random) -> bytes:
    """One of the numbers that are written as digits is another thing."""
    places = [match.span() for match in NUMBER_PATTERN.finditer(content[:20_000])]
    if not places:
        return content
    start, end = draw.choice(places)
    return content[:start] + draw.choice(ODD_NUMBERS) + content[end:]


def same_length_number(content: bytes, draw: random.Random) -> bytes:
    """One number of digits is another one of the same width, so that what counts bytes still finds its way."""
    places = [match.span() for match in NUMBER_PATTERN.finditer(content[:20_000])]
    if not places:
        return content
    start, end = draw.choice(places)
    digits = draw.choice((b"9", b"0", b"-", b"1", b" ", b"x", b"."))
    return content[:start] + digits * (end - start) + content[end:]


def put_in(content: bytes, draw: random.Random) -> bytes:
    """Something stands where nothing should."""
    place = draw.randrange(len(content) + 1)
    return content[:place] + draw.choice(ODD_PARTS) + content[place:]


def gap(content: bytes, draw: random.Random) -> bytes:
    """Some bytes are gone."""
    place = draw.randrange(len(content) + 1)
    return content[:place] + content[place + draw.choice((1, 2, 17, 256)) :]


def zeroed(content: bytes, draw: random.Random) -> bytes:
    """A block is zeros, as on a disk that lost it."""
    place, length = draw.randrange(len(content) + 1), draw.choice((1, 16, 512))
    return content[:place] + bytes(min(length, len(content) - place)) + content[place + length :]


def repeated(content: bytes, draw: random.Random) -> bytes:
    """The first line stands once more, somewhere."""
    lines = content.splitlines(keepends=True)
    if lines:
        lines.insert(draw.randrange(len(lines) + 1), lines[0])
    return b"".join(lines)


def shuffled(content: bytes, draw: random.Random) -> bytes:
    """Lines in another order."""
    lines = content.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


def without_line(content: bytes, draw: random.Random) -> bytes:
    """One line is gone."""
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[draw.randrange(len(lines))]
    return b"".join(lines)


def other_encoding(content: bytes, draw: random.Random) -> bytes:
    """The same text in another encoding."""
    return content.decode("utf-8", "replace").encode(draw.choice(ENCODINGS), "replace")


def other_lines(content: bytes, draw: random.Random) -> bytes:
    """Lines end as on another system."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", draw.choice((b"\r", b"\r\n", b"\n\n")))


def twice(content: bytes, draw: random.Random) -> bytes:
    """The whole of it once more behind it."""
    return content * draw.choice((2, 3))


def noise(content: bytes, draw: random.Random) -> bytes:
    """Nothing of it is left."""
    return draw.choice((b"", draw.randbytes(200), content[:8] + draw.randbytes(400), b"\x00" * 300, b"\n" * 300, b" "))


CHANGES: tuple[Change, ...] = (
    *(cut, headless, flipped, counted, other_number, other_number, same_length_number, put_in, put_in, gap, zeroed),
    *(repeated, shuffled, without_line, other_encoding, other_lines, twice, noise),
)


def spoilt(content: bytes, draw: random.Random) -> bytes:
    """The content with one change, now and then with two."""
    for _ in range(draw.choice((1, 1, 1, 2))):
        content = draw.choice(CHANGES)(content, draw)
    return content


def spoilt_within(content: bytes, draw: random.Random) -> bytes:
    """A compressed file of which what was compressed is spoilt, and the compression is whole; other files as they are."""
    for magic, unpack, pack in (
        (b"\x1f\x8b", gzip.decompress, gzip.compress),
        (b"BZh", bz2.decompress, bz2.compress),
        (b"\xfd7zXZ\x00", lzma.decompress, lzma.compress),
    ):
        if content.startswith(magic):
            return bytes(pack(spoilt(unpack(content), draw)))
    return zip_with(content, draw) if content.startswith(b"PK\x03\x04") else content


def zip_with(content: bytes, draw: random.Random) -> bytes:
    """A zip of which one member is spoilt, gone, there twice or under another name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place = draw.randrange(len(members))
    name, inside = members[place]
    members[place : place + 1] = draw.choice(
        (
            [(name, spoilt(inside, draw))],
            [(name, spoilt(inside, draw))],
            [],
            [(name, inside), (name, inside)],
            [(f"{name}/", b"")],
            [("../" + name, inside)],
            [(name.upper(), inside)],
        )
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inside in members:
            archive.writestr(name, inside)
    return out.getvalue()

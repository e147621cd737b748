"""Nicknames: what stays of a typed one, and which two look alike to a room that reads them from a wall."""

import unicodedata

LONGEST_NICKNAME = 24  # letters

# Scripts that have letters of the same shape: a word of more than one of them is written so that it looks like another.
LOOKALIKE_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})

# Letters that are read as a Latin one, by that one.
_LOOKALIKES = {
    "A": "АΑᎪᴀ", "B": "ВΒᏴʙ", "C": "СᏟϹᴄ", "D": "Ꭰᴅ", "E": "ЕΕᎬᴇ", "G": "ԌᏀɢ", "H": "НΗᎻʜ", "I": "ІΙӀᎥɪ", "J": "ЈᎫᴊ",
    "K": "КΚᏦᴋ", "L": "ᏞʟԼ", "M": "МΜᎷᴍ", "N": "Νɴ", "O": "ОΟՕᴏ", "P": "РΡᏢᴘ", "Q": "Ԛ", "R": "ᎡᏒʀ", "S": "ЅՏᏚꜱ", "T": "ТΤᎢᴛ",
    "U": "Սᴜ", "V": "Ꮩѵᴠ", "W": "ԜᎳᴡ", "X": "ХΧ", "Y": "УΥҮʏ", "Z": "ΖᏃᴢ",
    "a": "аαɑ", "b": "в", "c": "сϲ", "d": "ԁ", "e": "еε", "f": "ғꜰ", "g": "ɡց", "h": "һհн", "i": "іιı", "j": "јϳ", "k": "кκ",
    "m": "м", "n": "ոη", "o": "оοօσ", "p": "рρ", "q": "ԛ", "s": "ѕ", "t": "тτ", "u": "սυ", "v": "ν", "w": "ԝω", "x": "хχ",
    "y": "уγү", "3": "ЗзӠ", "l": "ӏ",
}  # fmt: skip
_AS_LATIN = str.maketrans({letter: latin for latin, letters in _LOOKALIKES.items() for letter in letters})
_AS_ONE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s"})  # after lower case: 0 and O, 1, l and I
# Shown as nothing, or as a space, though Unicode counts them among letters, marks or symbols.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(0xFE00 + number) for number in range(16)}


def nickname(text: str) -> str | None:
    """A nickname in one line without what cannot be seen; None where nothing is left."""
    composed = unicodedata.normalize("NFKC", text)
    seen = "".join(letter for letter in composed if letter.isprintable() and letter not in _UNSEEN)
    plain = " ".join(seen.split())[:LONGEST_NICKNAME].strip()
    return plain or None


def appearance(name: str) -> str:
    """What a name looks like from the last row: names of one appearance are not told apart there.

    It is compared, never shown: NFKC and casefold, without spaces, and letters of one shape as one of them.
    """
    composed = unicodedata.normalize("NFKC", name)
    decomposed = unicodedata.normalize("NFD", composed).translate(_AS_LATIN)
    folded = unicodedata.normalize("NFKC", decomposed).casefold().translate(_AS_ONE)
    return "".join(letter for letter in folded if not letter.isspace() and letter.isprintable() and letter not in _UNSEEN)


def same_name(one: str, other: str) -> bool:
    """Whether two names are one but for case and how their letters are encoded."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def mixed_scripts(name: str) -> tuple[str, ...]:
    """The scripts of the first word whose letters are of several that look alike, in words; nothing where no word is mixed."""
    for word in name.split():
        scripts = {_script_of(letter) for letter in word if letter.isalpha()} & LOOKALIKE_SCRIPTS
        if len(scripts) > 1:
            return tuple(sorted(script.capitalize() for script in scripts))
    return ()


def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


def why_not_nickname(name: str, taken: list[str]) -> str | None:
    """Why a name cannot be taken beside those that are taken, in words for who typed it; None where it can."""
    if scripts := mixed_scripts(name):
        return f"{name} has letters of several alphabets in one word ({' and '.join(scripts)}); please type it in one."
    if any(same_name(name, other) for other in taken):
        return f"{name} is taken; please add something to it."
    looks = appearance(name)
    if other := next((other for other in taken if appearance(other) == looks), None):
        return f"{name} looks like {other}, who is in already; please add something to it."
    return None

"""Text that every codec can write and every database takes: half a character, or a zero, becomes U+FFFD."""

import re

_WHOLE = "\N{REPLACEMENT CHARACTER}"
_NO_TEXT = "\ud800-\udfff\0"  # half a character, and what ends a text in many programs
_NO_TEXT_PATTERN = re.compile(f"[{_NO_TEXT}]")
# In JSON's text: what is right although it looks alike (a backslash that is itself escaped, a whole pair) with what follows it;
# else a half or a zero, escaped or not.
_JSON_PATTERN = re.compile(
    r"(?:(?:\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rf"[^\\{_NO_TEXT}]*+)++|\\u[dD][89a-fA-F][0-9a-fA-F]{{2}}|\\u0000|[{_NO_TEXT}]"
)


def whole_text(text: str) -> str:
    """The text with U+FFFD for each half of a character and each zero."""
    return _NO_TEXT_PATTERN.sub(_WHOLE, text)


def whole_json(text: str) -> str:
    """JSON with U+FFFD for each half of a character and each zero in its texts, escaped or not; nothing is parsed."""
    return _JSON_PATTERN.sub(_mended, text)


def _mended(match: re.Match[str]) -> str:
    part = match[0]
    if len(part) == 1:
        return _WHOLE
    return "\\ufffd" if len(part) == 6 and part[1] == "u" else part

"""A form that came back, since something in it was wrong: so that nothing that was typed is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CameBack:
    """What every such form says. A page's own adds what was typed.

    part: which form of its page it is, or what was picked in it; nothing where none came back. problems: what is wrong, by field.
    message: what is wrong with the whole of it.
    """

    part: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    message: str = ""

"""A configuration as text for other programs: JSON, TOML, YAML, the arguments of a command line, a dictionary of Python.

Each can be read back without loss: `Space.configuration` takes what JSON, TOML, YAML and Python give, and arguments are what a
tuned program gets, another text for each option.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.model.space_toml import key_text, value_text
from evenhand.tasks.programs.command import text_of

YAML_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # what a key of this name would be read as
EXPONENT = re.compile(r"^(-?\d+)(e.*)$")  # of a number without a point, which YAML 1.1 takes for text


def json_text(space: Space, configuration: Configuration) -> str:
    """JSON; tuples are lists."""
    return json.dumps(configuration, indent=2, ensure_ascii=False)


def toml_text(space: Space, configuration: Configuration) -> str:
    """TOML; None is { none = true }, as in a space's file."""
    return "\n".join(f"{key_text(name)} = {value_text(value)}" for name, value in configuration.items())


def yaml_text(space: Space, configuration: Configuration) -> str:
    """YAML, 1.1 and 1.2; tuples are lists."""
    lines = (f"{_yaml_key(name)}: {_yaml(value)}" for name, value in configuration.items())
    return "\n".join(lines) or "{}"


def python_text(space: Space, configuration: Configuration) -> str:
    """A dictionary of Python, whose values have their own types."""
    return repr(dict(configuration))


def arguments_text(space: Space, configuration: Configuration) -> str:
    """Arguments of a command line, each quoted for a shell, as programs get them: --lr 0.01 --units 64."""
    words = []
    for name, value in configuration.items():
        text = text_of(space[name], value)
        if "\0" in name + text:
            raise InvalidSettings(f"{name} is {value!r}, which no argument can be; expected another format, such as json")
        words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return shlex.join(words)


def _yaml_key(name: str) -> str:
    return name if YAML_KEY.fullmatch(name) and name.lower() not in YAML_WORDS else _yaml(name)


def _yaml(value: Any) -> str:
    """A value in YAML's flow style, which is nearly JSON's."""
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_yaml, value))}]"
    return EXPONENT.sub(r"\1.0\2", json.dumps(value))


Format = Callable[[Space, Configuration], str]
FORMATS: Mapping[str, Format] = {
    "json": json_text,
    "toml": toml_text,
    "yaml": yaml_text,
    "args": arguments_text,
    "python": python_text,
}
ENDINGS: Mapping[str, str] = {".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


def format_of(name: str) -> Format:
    """The format of this name; InvalidSettings where there is none."""
    if name not in FORMATS:
        raise InvalidSettings(f"format {name!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def save(space: Space, configuration: Configuration, path: Path) -> None:
    """Write a configuration in the format that the file's ending says, whole or not at all.

    Raises:
        InvalidSettings: another ending, or the file cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidSettings(f"{str(path)!r}: expected a file that ends in {', '.join(ENDINGS)}")
    text = FORMATS[ENDINGS[path.suffix.lower()]](space, configuration)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(f"{text}\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InvalidSettings(f"{str(path)!r} cannot be written ({error.strerror}); name another place") from error

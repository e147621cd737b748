"""Where things live and how long they last: the few settings that are not part of a study."""

import ipaddress
import os
import re
import stat
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from evenhand.errors import InvalidSettings

DEFAULT_PORT = 8765
SESSION_PORT = 8766  # of a session that `evenhand tune --serve` serves, beside a server
SETTINGS_FILE = "settings.toml"  # in the data directory
AGENT_SILENCE_SECONDS = 10.0  # after which an agent that has not been heard of counts as gone


def data_dir() -> Path:
    """The user's data directory (XDG; `EVENHAND_DATA` overrides it). Made on first use, readable by its owner only.

    InvalidSettings where it cannot be made.
    """
    chosen = os.environ.get("EVENHAND_DATA")
    path = Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("evenhand"))
    try:
        private_folder(path)
    except OSError as error:
        raise InvalidSettings(
            f"data directory {str(path)!r}: cannot be made ({error.strerror}); set EVENHAND_DATA to one that you may write to"
        ) from None
    return path


def private_folder(path: Path) -> Path:
    """Make a folder where it is not there, and those above it: its owner's only, whatever the umask. The folder."""
    if not path.is_dir():
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
    return path


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=private_opener)`: a file that is made by it is its owner's only, whatever the umask."""
    return os.open(path, flags, 0o600)


# What Evenhand alone writes in the data directory, by patterns. What lies deeper is behind a folder that nobody else can enter.
PRIVATE_FOLDERS = ("backups", "logs", "checkpoints", "trials", "contest", "code", "dropped")
PRIVATE_FILES = (
    SETTINGS_FILE,
    "heartbeat-*",
    "address-*",
    "erasures-*.jsonl",
    "agent-*.lock",
    "backups/*",
    "logs/*",
    "*.damaged-*",
)


def close_to_others(folder: Path) -> list[Path]:
    """Take from others what rights they have to Evenhand's files in a data directory; those that were open to them."""
    parts = [folder / name for name in PRIVATE_FOLDERS] + [file for pattern in PRIVATE_FILES for file in folder.glob(pattern)]
    if not os.environ.get("EVENHAND_DATA"):  # else it may hold other things, and its owner chose its rights
        parts.append(folder)
    opened = []
    for part in parts:
        with suppress(OSError):
            mode = part.stat(follow_symlinks=False).st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                part.chmod(stat.S_IMODE(mode) & 0o700)
                opened.append(part)
    return opened


def trials_dir() -> Path:
    """The folder of the folders that trainings on this machine have of their own."""
    return data_dir() / "trials"


def default_database() -> str:
    """The SQLAlchemy URL used where neither `--db` nor `EVENHAND_DB` names one: SQLite in the data directory."""
    return os.environ.get("EVENHAND_DB") or f"sqlite:///{data_dir() / 'evenhand.sqlite'}"


@dataclass(frozen=True)
class Rules:
    """Times (in seconds) and limits that the lab keeps; tests shorten them.

    lease: how long a claimed job stays claimed without a word from its agent.
    choosing: how long after the deadline the tuner may still choose before the best trial is chosen for it.
    attempts: how often a job is tried before its trial counts as `failed`.
    curve_points: how many batch losses of a trial are kept.
    """

    lease: float = 10.0
    choosing: float = 600.0
    attempts: int = 3
    curve_points: int = 2000


def rules_from_environment() -> Rules:
    """The rules, with the lease shortened where `EVENHAND_LEASE` (seconds) says so, as the kill tests do."""
    return Rules(lease=float(os.environ.get("EVENHAND_LEASE", Rules.lease)))


@dataclass(frozen=True)
class SignInTimes:
    """How long ways in last, in seconds. link: one that nobody used yet. browser: one that is signed in."""

    link: float
    browser: float


def sign_in_times() -> SignInTimes:
    """As `link_hours` (24 where it is not said) and `signed_in_days` (30) in the settings file say."""
    written = _settings_file()
    return SignInTimes(3600.0 * written.get("link_hours", 24), 86400.0 * written.get("signed_in_days", 30))


THIS_MACHINE = ("127.0.0.1", "::1")
KNOWN_SETTINGS = ("public_url", "proxies", "link_hours", "signed_in_days")
MOST_SIGN_IN_NUMBER = 10_000  # of hours or days: beyond that nobody means it
_PREFIX_PATTERN = re.compile(r"(/[A-Za-z0-9._~-]+)*")


_OWN_PORTS = {"http": "80", "https": "443"}


def without_own_port(host: str, scheme: str) -> str:
    """A name as a Host header says it, in small letters and without the port that is the scheme's own: so browsers say it."""
    return host.lower().removesuffix(f":{_OWN_PORTS[scheme]}")


@dataclass(frozen=True)
class PublicAddress:
    """Where browsers find the laboratory behind a proxy.

    url: as `https://lab.example.org/evenhand`; "" where there is no proxy. proxies: addresses or networks of those whose
    forwarded headers are believed.
    """

    url: str = ""
    proxies: Sequence[str] = THIS_MACHINE
    scheme: str = field(init=False, default="")
    host: str = field(init=False, default="")  # with its port, where it is not the scheme's own
    prefix: str = field(init=False, default="")  # the path under which all pages lie; "" at the root

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise InvalidSettings(
                    f"proxy {proxy!r}: expected an address or a network in digits, as 127.0.0.1 or 10.0.0.0/8"
                ) from None
        if not self.url:
            return
        wrong = InvalidSettings(
            f"public URL {self.url!r}: expected https:// or http://, a name and perhaps a path of letters, digits and -._~, "
            "as https://lab.example.org/evenhand"
        )
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            raise wrong from None
        prefix = parts.path.rstrip("/")
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not re.fullmatch(r"[a-z0-9.:-]+", parts.hostname)
            or parts.username is not None
            or parts.query
            or parts.fragment
            or not _PREFIX_PATTERN.fullmatch(prefix)
            or {".", ".."} & set(prefix.split("/"))
        ):
            raise wrong
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        host = without_own_port(name if port is None else f"{name}:{port}", parts.scheme)
        for field_name, value in (
            ("scheme", parts.scheme),
            ("host", host),
            ("prefix", prefix),
            ("url", f"{parts.scheme}://{host}{prefix}"),
        ):
            object.__setattr__(self, field_name, value)

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(proxy) for proxy in self.proxies]

    def is_proxy(self, address: str) -> bool:
        """Whether what this address forwards is believed."""
        try:
            plain = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(plain in network for network in self._networks)


HERE = PublicAddress()  # without a proxy


def public_address(url: str | None = None, proxies: Sequence[str] | None = None) -> PublicAddress:
    """Where browsers find the laboratory: as given, else as `public_url` and `proxies` in the settings file say."""
    written = _settings_file()
    address = written.get("public_url", "") if url is None else url
    try:
        return PublicAddress(address, tuple(proxies or written.get("proxies", THIS_MACHINE)))
    except InvalidSettings as error:
        if written.keys() & {"public_url", "proxies"} and (url is None or proxies is None):
            raise InvalidSettings(f"{data_dir() / SETTINGS_FILE}: {error}") from None
        raise


def _settings_file() -> dict[str, Any]:
    """What `settings.toml` in the data directory says; InvalidSettings where it cannot be read."""
    path = data_dir() / SETTINGS_FILE
    try:
        if path.exists() and not path.is_file():
            raise InvalidSettings(f"{path} is no file; expected TOML, as docs/serving.md says")
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"{path} cannot be read: {error}; expected TOML, as docs/serving.md says") from None
    if unknown := written.keys() - set(KNOWN_SETTINGS):
        raise InvalidSettings(f"{path}: unknown settings {', '.join(sorted(unknown))}; expected {', '.join(KNOWN_SETTINGS)}")
    proxies = written.get("proxies", [])
    if not isinstance(written.get("public_url", ""), str):
        raise InvalidSettings(f'{path}: public_url is {written["public_url"]!r}, expected text, as "https://lab.example.org"')
    if not isinstance(proxies, list) or not all(isinstance(proxy, str) for proxy in proxies):
        raise InvalidSettings(f'{path}: proxies is {proxies!r}, expected a list of addresses, as ["127.0.0.1"]')
    for name in ("link_hours", "signed_in_days"):
        value = written.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_SIGN_IN_NUMBER:
            raise InvalidSettings(f"{path}: {name} is {value!r}, expected a number above 0, {MOST_SIGN_IN_NUMBER} at most")
    return written

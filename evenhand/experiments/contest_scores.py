"""What a contestant scored on every split, kept so that the eval split is opened once: a file each, written once.

Files lie beside the database, in a folder of its key; they are named after what they are of, and none is ever written over.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from evenhand.analysis.contest import Rates
from evenhand.analysis.surface import Shown, Surface
from evenhand.errors import DataError, Refused
from evenhand.settings import data_dir, private_folder, private_opener

FORMAT = 1
DECIMALS = 5  # of kept coordinates: beyond what a drawing shows


@dataclass(frozen=True)
class Scored:
    """Error rates, and all that was read off the splits while they were open.

    Attributes:
        rates: errors on train, dev and eval.
        sizes: examples of train, dev and eval.
        at: when, in seconds since 1970.
        how: see `analysis.contest.Entrant`.
        note: see there.
        weights: how many the network has.
        uncertainty: of the rates, where they are estimates.
        surface: the decision surface, of data with two features.
    """

    rates: Rates
    sizes: tuple[int, int, int]
    at: float
    how: str = ""
    note: str = ""
    weights: int | None = None
    uncertainty: float | None = None
    surface: Surface | None = None


def path_of(key: str, name: str) -> Path:
    """Where the score called `name` lies, for the database of this key (`Lab.key`)."""
    return data_dir() / "contest" / key / f"{name}.json"


def write(path: Path, scored: Scored) -> None:
    """Keep a score. It appears whole or not at all.

    Args:
        path: where; see `path_of`.
        scored: the score.

    Raises:
        Refused: there is one already: the first look counts.
    """
    private_folder(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(fresh, "w", encoding="utf-8", opener=private_opener) as file:
        json.dump({"format": FORMAT, **asdict(scored), "surface": _surface(scored.surface)}, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise Refused(f"{path}: holds a score already, and eval is looked at once; the first look counts") from None
    finally:
        fresh.unlink()


def read(path: Path) -> Scored | None:
    """A score that was kept.

    Args:
        path: where; see `path_of`.

    Returns:
        The score; None where there is none.

    Raises:
        DataError: the file is damaged, or of another version of Evenhand.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: is damaged ({error}); remove it to have eval opened again, which is logged") from None
    if fields.pop("format", None) != FORMAT:
        raise DataError(f"{path}: was written by another version of Evenhand, expected format {FORMAT}")
    surface = fields.pop("surface")
    sizes = tuple(fields.pop("sizes"))
    return Scored(
        **{**fields, "rates": Rates(**fields["rates"])}, sizes=sizes, surface=_read_surface(surface) if surface else None
    )


def _surface(surface: Surface | None) -> dict[str, Any] | None:
    """Rows as runs of [class, cells]; coordinates rounded."""
    if surface is None:
        return None
    return {
        "x": surface.x.tolist(),
        "y": surface.y.tolist(),
        "rows": [[[int(name), len(list(run))] for name, run in groupby(row.tolist())] for row in surface.classes],
        "shown": {
            split: {
                "points": np.round(part.points, DECIMALS).tolist(),
                "classes": part.classes.tolist(),
                "of": part.of,
                "error": part.error,
            }
            for split, part in surface.shown.items()
        },
        "shares": {str(name): share for name, share in surface.shares.items()},
        "label": surface.label,
    }


def _read_surface(fields: Mapping[str, Any]) -> Surface:
    rows = [np.repeat([name for name, _ in row], [cells for _, cells in row]) for row in fields["rows"]]
    return Surface(
        x=np.array(fields["x"]),
        y=np.array(fields["y"]),
        classes=np.array(rows, dtype=np.int64),
        shown={
            split: Shown(np.array(part["points"]), np.array(part["classes"], dtype=np.int64), part["of"], part["error"])
            for split, part in fields["shown"].items()
        },
        shares={int(name): share for name, share in fields["shares"].items()},
        label=fields["label"],
    )

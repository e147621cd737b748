"""The methods themselves: a page for each, with what it needs, costs and cannot do, and a demonstration to play with."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from evenhand import methods
from evenhand.errors import InvalidSettings, NotFound
from evenhand.explain.demonstration import (
    BELIEFS,
    MOST_PARALLEL,
    SURFACES,
    Belief,
    Demonstration,
    demonstrate,
    score_map,
    space_of,
    why_no_demonstration,
)
from evenhand.methods import METHODS
from evenhand.methods.words import METHOD_FACTS, form_settings, words_of
from evenhand.model.typed_numbers import whole_number
from evenhand.web.pages import render

router = APIRouter()

SHOWN_TRIALS = 30
PARALLELS = (1, 4, MOST_PARALLEL)
LARGEST_SEED = 999
KEPT_DEMONSTRATIONS = 256


@router.get("/methods")
def methods_page(request: Request) -> Response:
    """Every method in a sentence."""
    listed = [(name, words_of(name), METHOD_FACTS.get(name)) for name in METHODS]
    return render(request, "methods/list.html", listed=listed, here="Methods")


@router.get("/methods/{method}")
def method_page(request: Request, method: str) -> Response:
    """One method: what one has to know of it, and how it searches."""
    if method not in METHODS:
        raise NotFound(f"there is no method {method!r}; expected one of {METHODS.known}")
    return render(
        request,
        "methods/method.html",
        name=method,
        words=words_of(method),
        facts=METHOD_FACTS.get(method),
        settings=form_settings(method),
        why_not=why_no_demonstration(method),
        others=[other for other in METHODS if other != method and why_no_demonstration(other) is None],
        surfaces=SURFACES,
        parallels=PARALLELS,
        beliefs=BELIEFS if methods.uses_priors(method) else (),
        largest_seed=LARGEST_SEED,
        here="Methods",
    )


@router.get("/methods/{method}/demonstration")
def demonstration(
    request: Request, method: str, surface: str = "hill", parallel: str = "1", seed: str = "0", belief: str = "none"
) -> Response:
    """What a method tries on a surface, and the surface; computed when it is first asked for."""
    if method not in METHODS:
        raise NotFound(f"there is no method {method!r}; expected one of {METHODS.known}")
    believed: Belief | None = next((known for known in BELIEFS if known == belief), None)
    if believed is None:
        raise InvalidSettings(f"belief {belief!r}: expected one of {', '.join(BELIEFS)}")
    at_once, drawn = _whole("at once", parallel, 1, MOST_PARALLEL), _whole("seed", seed, 0, LARGEST_SEED)
    played = _played(method, surface, at_once, drawn, believed)
    return JSONResponse(
        {**asdict(played), "map": _map(surface), "axes": _axes()}, headers={"cache-control": "private, max-age=3600"}
    )


def _whole(what: str, text: str, least: int, most: int) -> int:
    number = whole_number(text)
    if number is None or not least <= number <= most:
        raise InvalidSettings(f"{what} {text!r}: expected a whole number from {least} to {most}")
    return number


@lru_cache(maxsize=KEPT_DEMONSTRATIONS)
def _played(name: str, surface: str, parallel: int, seed: int, belief: Belief) -> Demonstration:
    return demonstrate(name, surface, trials=SHOWN_TRIALS, parallel=parallel, seed=seed, belief=belief)


def _map(surface: str) -> list[list[float | None]]:
    """The scores, a row a dropout from the lowest up; None where training diverges."""
    rows = score_map(SURFACES[surface])
    return [[None if np.isnan(score) else round(float(score), 4) for score in row] for row in rows]


def _axes() -> Mapping[str, Any]:
    """The two axes: labels, and the values at the ends and in the middle."""
    space = space_of(SURFACES["hill"], "none", False)
    named = {"across": space.hyperparameters[0], "up": space.hyperparameters[1]}
    return {
        axis: {
            "label": hyperparameter.label,
            "ticks": [hyperparameter.show(hyperparameter.domain.from_unit(place)) for place in (0.0, 0.5, 1.0)],
        }
        for axis, hyperparameter in named.items()
    }

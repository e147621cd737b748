"""What an app holds while it runs, beside its database: in one object, which every page reads by `held_by`."""

from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request

from evenhand.lab.lab import Lab
from evenhand.model.recent import Recent
from evenhand.settings import HERE, PublicAddress
from evenhand.studies.alerts import Alert
from evenhand.web.method_threads import Players
from evenhand.web.shelf import Shelf
from evenhand.web.streams import Hub
from evenhand.web.understanding import Understandings

MOST_KEPT_MESSAGES = 200  # of what actions came to: the newest are remembered, for a reload or two


@dataclass
class AppState:
    """Of one app. data_dir: where the heartbeat and backups are kept. public: where browsers find it.

    alerts: what the watch beside the server found last. ending: whether event streams and waiting answers are to end. said: by
    key, what an action came to, in words.
    """

    lab: Lab
    data_dir: Path
    public: PublicAddress = HERE
    alerts: tuple[Alert, ...] = ()
    ending: bool = False
    said: Recent[str, str] = field(default_factory=lambda: Recent(MOST_KEPT_MESSAGES))
    shelf: Shelf = field(default_factory=Shelf)
    understandings: Understandings = field(default_factory=Understandings)
    players: Players = field(init=False)
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.players = Players(self.lab)
        self.hub = Hub(self.lab, lambda: self.ending)


def hold(app: FastAPI, state: AppState) -> AppState:
    """Let an app hold its state; gives the state."""
    app.state.held = state
    return state


def held_by(app: FastAPI) -> AppState:
    """What an app holds."""
    state: AppState = app.state.held
    return state


def base_address(request: Request) -> str:
    """What a link to one of our pages begins with that somebody shall open elsewhere."""
    return held_by(request.app).public.url or str(request.base_url).rstrip("/")

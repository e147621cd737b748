"""The events of the log in words: who did what. An event holds kinds and ids, for programs; people read names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evenhand.model.archive import Event
from evenhand.model.person import WHO_PATTERN
from evenhand.model.words import clock, plural

SERVER = "The server"
# What a person asks for, who is named after the words.
ASKED_FOR = frozenset(
    {"declared", "published", "invited", "switched invitations", "closed", "reopened", "excluded", "included", "opened"}
)


@dataclass(frozen=True)
class EventNames:
    """What ids stand for: participants, sessions' tuners, agents, batches of invitations, and trials' numbers.

    reasons: what people said of what they did in a session, by its id, when, and what kind of thing it was.
    """

    people: Mapping[int, str] = field(default_factory=dict)
    tuners: Mapping[int, str] = field(default_factory=dict)
    agents: Mapping[int, str] = field(default_factory=dict)
    batches: Mapping[int, str] = field(default_factory=dict)
    trials: Mapping[int, int] = field(default_factory=dict)
    reasons: Mapping[tuple[int, float, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Told:
    """One event, with the names that its words need."""

    event: Event
    names: EventNames

    @property
    def detail(self) -> Mapping[str, Any]:
        return self.event.detail

    @property
    def person(self) -> str:
        """The participant that it is about."""
        number = self.detail.get("participant")
        return self.names.people.get(number or 0) or ("Somebody" if number is None else f"participant {number}")

    @property
    def tuner(self) -> str:
        """Whose session it is."""
        number = self.event.session_id
        return self.names.tuners.get(number or 0) or self.detail.get("tuner") or f"session {number or ''}".rstrip()

    @property
    def who(self) -> str:
        """Who did it, of those who do something to others."""
        who = str(self.detail.get("who") or "somebody")
        return who if WHO_PATTERN.fullmatch(who) else _first(who)

    @property
    def member(self) -> str:
        """The person who runs the laboratory that it is about, as the record names them."""
        number = self.detail.get("person")
        return "somebody" if number is None else f"person {number}"

    @property
    def trial(self) -> str:
        """The trial that it is about, or the training of an evaluation."""
        if self.event.trial_id is None:
            return f"an evaluation of {self.tuner}"
        number = self.names.trials.get(self.event.trial_id)
        return f"trial {number} of {self.tuner}" if number else f"a trial of {self.tuner}"

    @property
    def agent(self) -> str:
        """The agent that trains."""
        return self.names.agents.get(self.detail.get("agent") or 0, "an agent")

    @property
    def invitations(self) -> str:
        """The batch of invitations."""
        label = self.names.batches.get(self.detail.get("batch") or 0)
        return f"the invitations “{label}”" if label else "invitations"


def _first(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _claimed(told: _Told) -> str:
    attempt = told.detail.get("attempt", 1)
    again = f" for the {attempt}. time" if attempt > 1 else ""
    return f"{_first(told.agent)} began to train {told.trial}{again}"


def _chose(told: _Told) -> str:
    if told.event.trial_id is None:
        how = "nothing could be chosen" if told.detail.get("automatic") else "a configuration without a training, or none"
        return f"{told.tuner} ended: {how}"
    return f"{_first(told.trial)} was chosen" + (" automatically" if told.detail.get("automatic") else f" by {told.tuner}")


def _opened(told: _Told) -> str:
    what = "practice" if told.detail.get("practice") else "session"
    return f"A {what} of {told.tuner} was opened, beside the {told.detail.get('mode', 'live')} records"


def _reopened(told: _Told) -> str:
    return "Collection was opened again" if told.event.session_id is None else f"{told.tuner} went on after a choice"


def _switched(told: _Told) -> str:
    return f"{_first(told.invitations)} were switched {'on' if told.detail.get('enabled') else 'off'}"


WORDS: Mapping[str, Callable[[_Told], str]] = {
    # The study
    "declared": lambda told: f"Version {told.detail.get('version')} of the study was declared",
    "published": lambda told: f"Version {told.detail.get('version', '')} of the study was published".replace("  ", " "),
    "invited": lambda told: (
        f"{plural(told.detail.get('links', 0), 'link')} of {told.invitations} were made, for {told.detail.get('mode')} records"
    ),
    "switched invitations": _switched,
    "closed": lambda told: "Collection was ended",
    "reopened": _reopened,
    "imported": lambda told: "The study was read from an export",
    "restored": lambda told: "The laboratory was restored from a backup",
    # Participants
    "joined": lambda told: f"{told.person} joined",
    "renewed seat code": lambda told: f"{told.person} got a new code for the seat",
    "came back to seat": lambda told: f"{told.person} came back to the seat",
    "released seat": lambda told: f"The seat of {told.person} was released",
    "consented": lambda told: f"{told.person} agreed to the terms",
    "chose language": lambda told: f"{told.person} chose the language {told.detail.get('language')}",
    "assigned": lambda told: f"{told.person} was assigned to the condition {told.detail.get('condition')}",
    "answered": lambda told: f"{told.person} answered the questionnaire {told.detail.get('questionnaire')}",
    "read details": lambda told: f"{told.person} read the details",
    "practised": lambda told: f"{told.tuner} ended the practice",
    "withdrawn": lambda told: f"{told.person} withdrew; what they did and said was erased",
    "excluded": lambda told: f"{told.person} was left out of the statistics",
    "included": lambda told: f"{told.person} was taken into the statistics again",
    # Sessions
    "opened": _opened,
    "started": lambda told: f"{told.tuner} began to tune",
    "chose": _chose,
    "paused": lambda told: f"{told.who} paused {told.tuner}",
    "went on": lambda told: f"{told.who} let {told.tuner} go on",
    "extended": lambda told: f"{told.who} gave {told.tuner} {clock(told.detail.get('seconds', 0))} more",
    "outage": lambda told: f"{SERVER} was down for {clock(told.detail.get('seconds', 0))}, which was given back to {told.tuner}",
    "looked": lambda told: f"{told.who} looked at the test scores of {told.tuner}",
    "removed": lambda told: f"{told.who} removed {told.tuner}, which had never started",
    "taken up": lambda told: f"A process went on with {told.tuner}",
    "left": lambda told: f"The process of {told.tuner} left it",
    "discarded": lambda told: f"{told.tuner} was discarded by its program",
    "grew": lambda told: f"The space of {told.tuner} grew",
    "named metrics": lambda told: f"The program of {told.tuner} named its metrics {', '.join(told.detail.get('names', ()))}",
    "model written": lambda told: f"The final model of {told.tuner} was written",
    "stopping noticed": lambda told: f"The stopping rule of {told.tuner}: {told.detail.get('said', '')}",
    # Trials
    "submitted": lambda told: f"{_first(told.trial)} was submitted",
    "claimed": _claimed,
    "held": lambda told: f"{_first(told.trial)} stood still, since its session was paused",
    "trains on": lambda told: f"{_first(told.trial)} went on to train",
    "stop asked": lambda told: f"{_first(told.trial)} was asked to stop, by the {told.detail.get('by', 'tuner')}",
    "attempt ended": lambda told: f"A training of {told.trial} was lost: {told.detail.get('why', '')}",
    "finished": lambda told: f"{_first(told.trial)} ended: {told.detail.get('outcome', '')}",
    # Who runs the laboratory
    "person added": lambda told: f"{told.who} added {told.member} as {told.detail.get('role', 'researcher')}",
    "person renamed": lambda told: f"{told.who} gave {told.member} another name",
    "person removed": lambda told: f"{told.who} removed {told.member}",
    "role changed": lambda told: f"{told.who} made {told.member} {told.detail.get('role', 'researcher')}",
    "sign-in link made": lambda told: f"{told.who} made a sign-in link for {told.member}",
    "signed in": lambda told: f"{told.member} signed in",
    "signed out": lambda told: f"{told.member} signed out",
    "signed out everywhere": lambda told: f"{told.member} was signed out everywhere, by {told.who}",
    "link revoked": lambda told: f"{told.who} revoked a sign-in link of {told.member}",
    "sign-in revoked": lambda told: f"{told.who} revoked a sign-in of {told.member}",
    "links revoked": lambda told: f"{told.who} revoked all unused sign-in links",
    "agent revoked": lambda told: f"{told.who} revoked the token of {told.agent}",
    # Working together
    "added": lambda told: f"{told.who} added {told.trial}",
    "reshaped": lambda told: f"{told.who} limited what {told.tuner} may try",
    "believes": lambda told: f"{told.who} said what they believe, to {told.tuner}",
    "stopped": lambda told: f"{told.who} stopped {told.trial}",
    "took over": lambda told: (
        f"{told.who} took over from {told.tuner}" if told.event.session_id else f"{told.person} went on in another window"
    ),
    "handed back": lambda told: f"{told.who} handed back to {told.tuner}",
    "ended": lambda told: f"{told.who} ended {told.tuner}",
    "rated": lambda told: f"{told.who} rated {told.trial}",
    "vetoed": lambda told: f"{told.who} vetoed {told.trial}",
    "allowed": lambda told: f"{told.who} took the veto of {told.trial} back",
}


def event_words(event: Event, names: EventNames) -> str:
    """What happened, as a sentence without its full stop; and why, where somebody said it."""
    told = _Told(event, names)
    say = WORDS.get(event.kind)
    words = say(told) if say else f"{_first(event.kind)}, in {told.tuner}"
    words += f", by {told.detail['who']}" if event.kind in ASKED_FOR and "who" in told.detail else ""
    reason = names.reasons.get((event.session_id or 0, event.at, event.kind), "")
    return f"{words}: {reason}" if reason else words

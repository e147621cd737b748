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
class _Entry:
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


def _claimed(entry: _Entry) -> str:
    attempt = entry.detail.get("attempt", 1)
    again = f" for the {attempt}. time" if attempt > 1 else ""
    return f"{_first(entry.agent)} began to train {entry.trial}{again}"


def _chose(entry: _Entry) -> str:
    if entry.event.trial_id is None:
        how = "nothing could be chosen" if entry.detail.get("automatic") else "a configuration without a training, or none"
        return f"{entry.tuner} ended: {how}"
    return f"{_first(entry.trial)} was chosen" + (" automatically" if entry.detail.get("automatic") else f" by {entry.tuner}")


def _opened(entry: _Entry) -> str:
    what = "practice" if entry.detail.get("practice") else "session"
    return f"A {what} of {entry.tuner} was opened, beside the {entry.detail.get('mode', 'live')} records"


def _reopened(entry: _Entry) -> str:
    return "Collection was opened again" if entry.event.session_id is None else f"{entry.tuner} went on after a choice"


def _switched(entry: _Entry) -> str:
    return f"{_first(entry.invitations)} were switched {'on' if entry.detail.get('enabled') else 'off'}"


WORDS: Mapping[str, Callable[[_Entry], str]] = {
    # The study
    "declared": lambda entry: f"Version {entry.detail.get('version')} of the study was declared",
    "published": lambda entry: f"Version {entry.detail.get('version', '')} of the study was published".replace("  ", " "),
    "invited": lambda entry: (
        f"{plural(entry.detail.get('links', 0), 'link')} of {entry.invitations} were made, for {entry.detail.get('mode')} records"
    ),
    "switched invitations": _switched,
    "closed": lambda entry: "Collection was ended",
    "reopened": _reopened,
    "imported": lambda entry: "The study was read from an export",
    "restored": lambda entry: "The laboratory was restored from a backup",
    # Participants
    "joined": lambda entry: f"{entry.person} joined",
    "renewed seat code": lambda entry: f"{entry.person} got a new code for the seat",
    "came back to seat": lambda entry: f"{entry.person} came back to the seat",
    "released seat": lambda entry: f"The seat of {entry.person} was released",
    "consented": lambda entry: f"{entry.person} agreed to the terms",
    "chose language": lambda entry: f"{entry.person} chose the language {entry.detail.get('language')}",
    "assigned": lambda entry: f"{entry.person} was assigned to the condition {entry.detail.get('condition')}",
    "answered": lambda entry: f"{entry.person} answered the questionnaire {entry.detail.get('questionnaire')}",
    "read details": lambda entry: f"{entry.person} read the details",
    "practised": lambda entry: f"{entry.tuner} ended the practice",
    "withdrawn": lambda entry: f"{entry.person} withdrew; what they did and said was erased",
    "excluded": lambda entry: f"{entry.person} was left out of the statistics",
    "included": lambda entry: f"{entry.person} was taken into the statistics again",
    # Sessions
    "opened": _opened,
    "started": lambda entry: f"{entry.tuner} began to tune",
    "chose": _chose,
    "paused": lambda entry: f"{entry.who} paused {entry.tuner}",
    "went on": lambda entry: f"{entry.who} let {entry.tuner} go on",
    "extended": lambda entry: f"{entry.who} gave {entry.tuner} {clock(entry.detail.get('seconds', 0))} more",
    "outage": lambda entry: (
        f"{SERVER} was down for {clock(entry.detail.get('seconds', 0))}, which was given back to {entry.tuner}"
    ),
    "looked": lambda entry: f"{entry.who} looked at the test scores of {entry.tuner}",
    "removed": lambda entry: f"{entry.who} removed {entry.tuner}, which had never started",
    "taken up": lambda entry: f"A process went on with {entry.tuner}",
    "left": lambda entry: f"The process of {entry.tuner} left it",
    "discarded": lambda entry: f"{entry.tuner} was discarded by its program",
    "renamed": lambda entry: f"{entry.tuner} got another name",
    "noted": lambda entry: f"The tags or the note of {entry.tuner} were written",
    "baseline declared": lambda entry: f"A baseline of {entry.tuner} was declared, or taken away",
    "not evaluated": lambda entry: f"The choice of {entry.tuner} was not evaluated, since a study collects on the same test data",
    "evaluation asked": lambda entry: f"The evaluation of {entry.tuner} was asked for",
    "archived": lambda entry: f"{entry.tuner} was taken out of the list of runs",
    "put back": lambda entry: f"{entry.tuner} was put back into the list of runs",
    "deleted": lambda entry: f"{entry.tuner} was deleted, to be erased later",
    "brought back": lambda entry: f"{entry.tuner} was brought back before it was erased",
    "erased": lambda entry: f"{entry.tuner} was erased, after it had been deleted",
    "grew": lambda entry: f"The space of {entry.tuner} grew",
    "named metrics": lambda entry: f"The program of {entry.tuner} named its metrics {', '.join(entry.detail.get('names', ()))}",
    "model written": lambda entry: f"The final model of {entry.tuner} was written",
    "stopping noticed": lambda entry: f"The stopping rule of {entry.tuner}: {entry.detail.get('said', '')}",
    # Trials
    "submitted": lambda entry: f"{_first(entry.trial)} was submitted",
    "claimed": _claimed,
    "held": lambda entry: f"{_first(entry.trial)} stood still, since its session was paused",
    "trains on": lambda entry: f"{_first(entry.trial)} went on to train",
    "stop asked": lambda entry: f"{_first(entry.trial)} was asked to stop, by the {entry.detail.get('by', 'tuner')}",
    "attempt ended": lambda entry: f"A training of {entry.trial} was lost: {entry.detail.get('why', '')}",
    "finished": lambda entry: f"{_first(entry.trial)} ended: {entry.detail.get('outcome', '')}",
    # Who runs the laboratory
    "person added": lambda entry: f"{entry.who} added {entry.member} as {entry.detail.get('role', 'researcher')}",
    "person renamed": lambda entry: f"{entry.who} gave {entry.member} another name",
    "person removed": lambda entry: f"{entry.who} removed {entry.member}",
    "role changed": lambda entry: f"{entry.who} made {entry.member} {entry.detail.get('role', 'researcher')}",
    "sign-in link made": lambda entry: f"{entry.who} made a sign-in link for {entry.member}",
    "signed in": lambda entry: f"{entry.member} signed in",
    "signed out": lambda entry: f"{entry.member} signed out",
    "signed out everywhere": lambda entry: f"{entry.member} was signed out everywhere, by {entry.who}",
    "link revoked": lambda entry: f"{entry.who} revoked a sign-in link of {entry.member}",
    "sign-in revoked": lambda entry: f"{entry.who} revoked a sign-in of {entry.member}",
    "links revoked": lambda entry: f"{entry.who} revoked all unused sign-in links",
    "agent revoked": lambda entry: f"{entry.who} revoked the token of {entry.agent}",
    # Working together
    "added": lambda entry: f"{entry.who} added {entry.trial}",
    "reshaped": lambda entry: f"{entry.who} limited what {entry.tuner} may try",
    "believes": lambda entry: f"{entry.who} said what they believe, to {entry.tuner}",
    "stopped": lambda entry: f"{entry.who} stopped {entry.trial}",
    "took over": lambda entry: (
        f"{entry.who} took over from {entry.tuner}" if entry.event.session_id else f"{entry.person} went on in another window"
    ),
    "handed back": lambda entry: f"{entry.who} handed back to {entry.tuner}",
    "ended": lambda entry: f"{entry.who} ended {entry.tuner}",
    "rated": lambda entry: f"{entry.who} rated {entry.trial}",
    "vetoed": lambda entry: f"{entry.who} vetoed {entry.trial}",
    "allowed": lambda entry: f"{entry.who} took the veto of {entry.trial} back",
}


def event_words(event: Event, names: EventNames) -> str:
    """What happened, as a sentence without its full stop; and why, where somebody said it."""
    entry = _Entry(event, names)
    say = WORDS.get(event.kind)
    words = say(entry) if say else f"{_first(event.kind)}, in {entry.tuner}"
    words += f", by {entry.detail['who']}" if event.kind in ASKED_FOR and "who" in entry.detail else ""
    reason = names.reasons.get((event.session_id or 0, event.at, event.kind), "")
    return f"{words}: {reason}" if reason else words

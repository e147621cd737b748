"""Why this trial: what its proposer said, and for a method the parts that its own score of the configuration is made of.

The parts are computed again, from what the method knew when it suggested the configuration: the same arguments give the same
suggestions, so asking it once more shows whether the parts are those of then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from evenhand.explain.card import Card, nothing_said
from evenhand.methods import Method
from evenhand.methods.why import Explaining, Why
from evenhand.model.configuration import Configuration
from evenhand.model.session import Session, space_after
from evenhand.model.space import Space
from evenhand.model.trial import Trial

KEY, TITLE = "why", "Why this trial?"
NAMED_PARTS = 2  # hyperparameters that the sentence names
LEAST_PART = 0.05  # of the logarithm of a score: less is not worth a name

Agreement = Literal["same", "other", "none"]


@dataclass(frozen=True)
class Asked:
    """What a method was asked, as far as it can be told again.

    Attributes:
        method: the method.
        space: what it could try.
        trials: those that it knew, as it knew them.
        seed: of the random stream that it got.
        fixed: values that are not its to choose.
    """

    method: Method
    space: Space
    trials: tuple[Trial, ...]
    seed: int
    fixed: Mapping[str, Any]

    def again(self) -> Configuration | None:
        """What it suggests when it is asked once more; None where it has nothing to suggest."""
        suggestions = self.method.suggest(self.space, self.trials, 1, np.random.default_rng(self.seed))
        return next((suggestion.configuration for suggestion in suggestions), None)

    def why(self, configuration: Configuration) -> Why | None:
        """Its score of a configuration in parts; None where it compared none, or is a method that gives no parts."""
        if not isinstance(self.method, Explaining):
            return None
        return self.method.why(self.space, self.trials, configuration, np.random.default_rng(self.seed))


def known_then(session: Session, trial: Trial) -> tuple[Trial, ...]:
    """The trials before one, as they stood when it was submitted: what ended later was still open."""
    before = (other for other in session.trials if other.number < trial.number)
    return tuple(_as_open(other) if _was_open(other, trial.submitted_at) else _as_then(session, other, trial) for other in before)


def space_then(session: Session, trial: Trial) -> Space:
    """The space in force when a trial was submitted, with what was believed of it."""
    return space_after(session.space, (change for change in session.interventions if change.at <= trial.submitted_at))


def why(session: Session, trial: Trial, asked: Asked | None) -> Card:
    """Why a trial was tried.

    Args:
        session: its session.
        trial: one of its trials.
        asked: what its method was asked; None for a person's trial, or where the method is not there.

    Returns:
        The card. Its data: `by`, `words`, `reasons`, and of a method that compares scores `measure`, `score`, `agreement`
        (whether asked again it suggests the same), `parts` (for each hyperparameter `good`, `unknown`, `belief`) and `together`.
    """
    by_method = session.kind == "method" and trial.proposer == session.tuner
    data: dict[str, Any] = {
        "by": "method" if by_method else "person",
        "words": trial.explanation,
        "reasons": [{"hyperparameter": name, "reason": words} for name, words in trial.reasons.items()],
    }
    parts = None if asked is None or not by_method else asked.why(trial.configuration)
    if asked is None or parts is None:
        said = trial.explanation or _reasons_words(session.space, trial)
        if not said:
            return nothing_said(KEY, TITLE, "Whoever proposed it gave no reason, so nobody knows.", 1, _HOW_SAID, **data)
        sure = "What was said with it; the method compared no scores for it." if by_method else "As it was said; not checked."
        return Card(KEY, TITLE, _sentence(said), sure, 1, _HOW_SAID, data, trials=(trial.id,))
    agreement = _agreement(asked, trial)
    data |= {
        "measure": parts.measure,
        "score": parts.score,
        "agreement": agreement,
        "parts": [
            {"hyperparameter": part.name, "good": part.good, "unknown": part.unknown, "belief": part.belief}
            for part in parts.parts
        ],
        "together": {"good": parts.good, "unknown": parts.unknown, "belief": parts.belief},
        "words_of": {"good": parts.good_words, "unknown": parts.unknown_words, "belief": _BELIEF_WORDS},
    }
    finding = f"{_sentence(trial.explanation)} {_parts_words(session.space, trial, parts)}"
    return Card(KEY, TITLE, finding, _AGREEMENT_WORDS[agreement], len(asked.trials), _how(parts), data, trials=(trial.id,))


_BELIEF_WORDS = "somebody believes in such values"
_HOW_SAID = "what the proposer said with the trial"
_AGREEMENT_WORDS: Mapping[Agreement, str] = {
    "same": "Asked again with what it knew then, the method suggests the same configuration: these are its own numbers.",
    "other": "Asked again it suggests another configuration: a trial ended while it was asked, or a library is of another "
    "version. These parts are near those of then.",
    "none": "Asked again it suggests nothing. These parts are near those of then.",
}


def _how(parts: Why) -> str:
    return (
        f"the method's own score, the {parts.measure}, computed again from the trials that it knew; a part above 0 speaks for "
        "the value, one below against it"
    )


def _agreement(asked: Asked, trial: Trial) -> Agreement:
    again = asked.again()
    if again is None:
        return "none"
    mine = {name: value for name, value in trial.configuration.items() if name not in asked.fixed}
    return "same" if {name: value for name, value in again.items() if name not in asked.fixed} == mine else "other"


def _parts_words(space: Space, trial: Trial, parts: Why) -> str:
    """The strongest reasons in words: "What speaks most for it: learning rate 0.01 (good trials lie there)"."""
    kinds = [
        (amount, f"{space[part.name].label} {space[part.name].show(trial.configuration[part.name])} ({words})")
        for part in parts.parts
        for amount, words in (
            (part.good, parts.good_words),
            (part.unknown, parts.unknown_words),
            (part.belief, _BELIEF_WORDS),
        )
        if amount >= LEAST_PART
    ]
    strongest = [words for _, words in sorted(kinds, key=lambda kind: -kind[0])[:NAMED_PARTS]]
    if not strongest:
        return "No single value speaks for it: its values do so together."
    return f"What speaks most for it: {', then '.join(strongest)}."


def _reasons_words(space: Space, trial: Trial) -> str:
    named = {name: words for name, words in trial.reasons.items() if words and name in space}
    return "; ".join(f"{space[name].label}: {words}" for name, words in named.items())


def _sentence(words: str) -> str:
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) or not words else ".")


def _was_open(trial: Trial, moment: float) -> bool:
    return trial.finished_at is None or trial.finished_at > moment


def _as_open(trial: Trial) -> Trial:
    return replace(trial, outcome=None, value=None, value_epoch=None, finished_at=None, why=None, stop_by=None, extra={})


def _as_then(session: Session, trial: Trial, later: Trial) -> Trial:
    """An ended trial before somebody vetoed it, where that came later."""
    if not trial.veto:
        return trial
    changes = [change for change in session.interventions if change.trial == trial.number and change.at <= later.submitted_at]
    kinds = [change.kind for change in changes if change.kind in ("vetoed", "allowed")]
    return trial if kinds and kinds[-1] == "vetoed" else replace(trial, veto="")

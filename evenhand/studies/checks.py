"""What no single line of a study's file shows: what groups, exclusion rules and the plan make of the questions they name."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from evenhand.model.study import ASSISTANT, ASSISTANT_USED, ExclusionRule, Grouping, ParticipantGroup, Question, Study
from evenhand.model.toml_lines import Key, TomlSource, did_you_mean, key_text, said
from evenhand.model.words import minutes

LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
INFINITE = float("inf")
NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12,
}  # fmt: skip
UNIT_SECONDS = {"hour": 3600.0, "hours": 3600.0, "minute": 60.0, "minutes": 60.0}
STATED_PATTERN = re.compile(rf"\b(\d+(?:\.\d+)?|{'|'.join(NUMBER_WORDS)}) (times|hours?|minutes?)\b", re.IGNORECASE)


def check(source: TomlSource, study: Study) -> None:
    """Note everything that does not fit together in a study that was read from `source`."""
    if not study.contact.strip():
        source.note(("study", "contact"), said("nothing"), "whom participants can ask", 'add contact = "..."', "warning")
    _languages(source, study)
    _distinct(source, ("reasons",), "value", [reason.value for reason in study.reasons])
    _distinct(source, ("conditions",), "name", [arm.name for arm in study.arms])
    _distinct(source, ("groups", "group"), "name", [group.name for group in study.grouping.groups])
    _reasons(source, study)
    _texts(source, study)
    _grouping(source, study)
    _assistant(source, study)
    _plan(source, study)
    for place, rule in enumerate(study.plan.exclusions):
        _rule(source, study, rule, ("plan", "exclude", place))


def _languages(source: TomlSource, study: Study) -> None:
    key: Key = ("study", "languages")
    for place, language in enumerate(study.languages):
        if not LANGUAGE_CODE.fullmatch(language):
            source.note((*key, place), language, "a language's code", 'such as "en", "de" or "pt-BR"')
        elif language in study.languages[:place]:
            source.note((*key, place), language, "each language once", "remove one of the two")


def _texts(source: TomlSource, study: Study) -> None:
    """Numbers that a text says and the study does not hold: how often a choice is trained, and how long tuning takes."""
    budgets = {study.budget.seconds, *(arm.budget.seconds for arm in study.arms if arm.budget)}
    caps = {seconds for seconds in budgets if seconds is not None}
    for name in ("consent", "details", "thanks"):
        text = getattr(study, name).markdown
        for stated in STATED_PATTERN.finditer(text):
            number = NUMBER_WORDS.get(stated[1].lower()) or float(stated[1])
            unit = stated[2].lower()
            if unit == "times" and number != study.evaluation_seeds:
                expected = f"{study.evaluation_seeds} times, as evaluation_seeds has it"
            elif unit != "times" and caps and number * UNIT_SECONDS[unit] not in caps:
                expected = f"{' or '.join(minutes(seconds / 60) for seconds in sorted(caps))}, as the budget has it"
            else:
                continue
            fix = "correct the one or the other, if it is the same thing that is meant"
            source.note(("texts", name), said(stated[0]), expected, fix, "warning")


def _distinct(source: TomlSource, key: Key, name: str, values: Sequence[str]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            first = values.index(value)
            source.note((*key, place, name), value, f"one that {key_text((*key, first))} does not have", "rename one of the two")


def _reasons(source: TomlSource, study: Study) -> None:
    values = [option.value for option in study.reasons]
    for value, use in (("guess", "the report's Fig. 9 counts it"), ("experience", "the report counts it among novices")):
        if value not in values:
            source.note(("reasons",), said(f"no reason {value!r}"), f"one whose value is {value!r}: {use}", "add it", "warning")
    for place, reason in enumerate(study.reasons):
        for language in [one for one in study.languages[1:] if one not in reason.label.translations]:
            fix = f"write label = {{ {study.languages[0]} = ..., {language} = ... }}"
            source.note(("reasons", place, "label"), said("one text"), f"the text in {language!r}, too", fix, "warning")

    for place, arm in enumerate(study.arms):
        worded = [option.value for option in arm.reasons]
        if worded and worded != values:
            key = ("conditions", place, "reasons")
            fix = "give each reason its own words, and keep values and order"
            source.note(key, said(", ".join(worded)), f"the study's reasons in other words: {', '.join(values)}", fix)


def _assistant(source: TomlSource, study: Study) -> None:
    """A questionnaire of one's own in place of the bundled one has to ask what the report counts."""
    used = study.question(ASSISTANT_USED)
    if study.is_about_assistants and (used is None or {option.value for option in used.options} != {"no", "yes"}):
        fix = 'add a question used of kind single with the options "no" and "yes", or leave the questionnaire out: one is bundled'
        place = [form.name for form in study.questionnaires].index(ASSISTANT.name)
        source.note(("questionnaires", place), said(f"no question {ASSISTANT_USED}"), "one that the report counts", fix)


# Groups


def _grouping(source: TomlSource, study: Study) -> None:
    grouping, key = study.grouping, ("groups", "by")
    if not grouping.by:
        return
    question = study.question(grouping.by)
    if question is None:
        source.note(key, grouping.by, "a question as QUESTIONNAIRE.QUESTION", which(study, grouping.by))
        return
    if not grouping.groups and not question.options:
        fix = "add [[groups.group]] with name, low and high"
        source.note(key, grouping.by, "a question of one choice, or groups with limits", fix)
    if grouping.groups and question.kind not in ("number", "likert"):
        source.note(key, grouping.by, "a question whose answer is a number", "leave the groups out: its options are the groups")
        return
    for one, two, low, high in overlaps(grouping):
        given = said(f"{between(low, high)} in {one!r} and in {two!r}")
        source.note(_place(grouping, two), given, "each answer in one group", "move a boundary")
    for low, high in gaps(grouping, question) if grouping.groups else ():
        fix = "move a boundary; who answers so is in none of the groups' figures"
        source.note(("groups", "group"), said(f"{between(low, high)} in no group"), "every answer in a group", fix, "warning")


def _place(grouping: Grouping, name: str) -> Key:
    return ("groups", "group", max(index for index, group in enumerate(grouping.groups) if group.name == name))


def which(study: Study, given: str) -> str:
    """The questions there are, the most similar one first."""
    known = [
        f"{questionnaire.name}.{question.name}" for questionnaire in study.questionnaires for question in questionnaire.questions
    ]
    return did_you_mean(given, known) + f"name one of {', '.join(known) or 'the questions, once there are any'}"


def between(low: float, high: float) -> str:
    """The numbers from one limit to another, in words."""
    if low == high:
        return f"{low:g}"
    if high == INFINITE:
        return f"{low:g} and more"
    return f"{high:g} and less" if low == -INFINITE else f"{low:g} to {high:g}"


def _limits(group: ParticipantGroup) -> tuple[float, float]:
    return (-INFINITE if group.low is None else group.low), (INFINITE if group.high is None else group.high)


def overlaps(grouping: Grouping) -> list[tuple[str, str, float, float]]:
    """Pairs of groups that hold the same numbers, and from where to where."""
    pairs = []
    for index, one in enumerate(grouping.groups):
        for two in grouping.groups[index + 1 :]:
            low = max(_limits(one)[0], _limits(two)[0])
            high = min(_limits(one)[1], _limits(two)[1])
            if low <= high:
                pairs.append((one.name, two.name, low, high))
    return pairs


def gaps(grouping: Grouping, question: Question) -> list[tuple[float, float]]:
    """Answers that the question allows and no group holds, from where to where; where not whole, the ends are boundaries."""
    low, high = (1.0, float(question.points)) if question.kind == "likert" else (question.low, question.high)
    step = 1.0 if question.kind == "likert" or question.whole else 0.0
    limits = sorted(pair for pair in map(_limits, grouping.groups) if pair[0] <= pair[1])
    edges = [(-INFINITE, (-INFINITE if low is None else low) - step), *limits]
    edges.append(((INFINITE if high is None else high) + step, INFINITE))
    holes, reached = [], edges[0][1]
    for start, end in edges[1:]:
        if start - reached > step:
            holes.append((reached + step, start - step))
        reached = max(reached, end)
    return holes


# Plan


def _plan(source: TomlSource, study: Study) -> None:
    plan, groups = study.plan, study.grouping.groups
    question = study.question(study.grouping.by)
    number = len(groups) or (len(question.options) if question else 0)
    if plan.expected == 0:
        source.note(("plan", "effect"), 0, "the effect that you expect, not 0", "such as effect = 0.6")
    if plan.test == "spearman" and question is not None and question.kind not in ("number", "likert"):
        fix = 'choose test = "kruskal-wallis", or group by a number'
        source.note(("plan", "test"), plan.test, f"a test of groups: {study.grouping.by} is no number", fix)
    if plan.test != "spearman" and question is not None and number < 2:
        source.note(("plan", "test"), plan.test, "at least two groups to compare", "add groups under [[groups.group]]")
    if plan.participants is not None and plan.participants < 3 * max(1, number):
        given = said(f"{plan.participants} participants")
        fix = "expect more; `evenhand study plan` says what power which number gives"
        source.note(("study", "participants"), given, f"at least three for each of {number} groups", fix, "warning")
    if plan.target is not None and plan.participants is not None and plan.target < plan.participants:
        given = said(f"{plan.target} participants, after whom nobody else can join")
        fix = "raise it, or expect fewer"
        source.note(("plan", "target"), given, f"at least the {plan.participants} that are expected", fix, "warning")
    names = [arm.name for arm in study.arms]
    for place, contrast in enumerate(plan.contrasts):
        for side, name in (("first", contrast.first), ("second", contrast.second)):
            if name not in names:
                fix = did_you_mean(name, names) + "declare it under [[conditions]], or remove the contrast"
                source.note(("plan", "contrast", place, side), name, f"a condition: {', '.join(names) or 'there is none'}", fix)
        if contrast.first == contrast.second:
            source.note(
                ("plan", "contrast", place, "second"), contrast.second, "another condition than first", "name another one"
            )
        if contrast.expected == 0:
            source.note(("plan", "contrast", place, "effect"), 0, "the effect that you expect, not 0", "such as effect = 0.5")
    for place, path in enumerate(plan.measures):
        measure = study.question(path)
        if measure is None:
            source.note(("plan", "measures", place), path, "a question as QUESTIONNAIRE.QUESTION", which(study, path))
        elif measure.kind not in ("number", "likert", "single"):
            expected = "a number, a Likert scale, or one choice of options from the least to the most"
            source.note(("plan", "measures", place), said(f"{path}, a {measure.kind} question"), expected, "name another one")
    for place, (one, two) in enumerate(pairwise(plan.thresholds)):
        if two <= one:
            source.note(("plan", "thresholds", place + 1), two, f"more than the one before, {one:g}", "put them in order")


def _rule(source: TomlSource, study: Study, rule: ExclusionRule, key: Key) -> None:
    budget = study.budget
    cap = {"trials": budget.trials, "minutes": None if budget.seconds is None else budget.seconds / 60}.get(rule.fact)
    if cap is not None and rule.at_least is not None and rule.at_least > cap:
        given = said(f"at least {rule.at_least:g}")
        source.note((*key, "at_least"), given, f"at most the budget, {cap:g}", "lower it: it leaves everybody out")
    for name, unused in _unused(rule):
        if unused:
            source.note((*key, name), unused, f"no {name} beside fact = {rule.fact!r}", "remove it")
    if rule.fact != "answer":
        return
    question = study.question(rule.question)
    if question is None:
        given = rule.question or said("nothing")
        source.note((*key, "question"), given, "a question as QUESTIONNAIRE.QUESTION", which(study, rule.question))
    elif question.options and rule.value not in (known := [option.value for option in question.options]):
        given = rule.value or said("nothing")
        source.note((*key, "value"), given, f"one of {', '.join(known)}", "write the value that a careful answer has")
    elif not rule.value:
        source.note((*key, "value"), said("nothing"), "the answer that keeps people in", f"add value = ... as {question.kind}")


def _unused(rule: ExclusionRule) -> Iterator[tuple[str, object]]:
    if rule.fact not in ("trials", "minutes"):
        yield "at_least", rule.at_least
    if rule.fact != "answer":
        yield "question", rule.question
        yield "value", rule.value

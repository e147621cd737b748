"""Names of a class: what stays of a typed one, and which look alike from the last row."""

import pytest

from evenhand.model.nicknames import appearance, mixed_scripts, nickname, why_not_nickname


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada\u200b  L. ", "Ada L."),
        ("A\u202eda", "Ada"),  # no direction is turned
        ("\uff21da", "Ada"),
        ("Ada\u3164", "Ada"),  # a letter that is shown as nothing
        ("\u2800\u200d\u00ad", None),
        ("x" * 30, "x" * 24),
        ("Łukasz Ñ", "Łukasz Ñ"),
        ("山田", "山田"),
    ],
)
def test_a_nickname_is_one_line_of_what_can_be_seen(typed: str, kept: str | None) -> None:
    assert nickname(typed) == kept


@pytest.mark.parametrize(
    "other",
    ["Tim", "TIM", "T im", "T1m", "Tlm", "T\u0456m", "\u0422im", "\u03a4im", "T\u200bim", "\U0001d413im", "\u13a2im"],
)
def test_names_that_look_like_one_that_is_in_are_refused(other: str) -> None:
    why = why_not_nickname(other, ["Bea", "Tim"])
    assert why is not None
    assert ("is taken" in why) or ("looks like Tim" in why) or ("several alphabets" in why)


@pytest.mark.parametrize(("one", "other"), [("СОСО", "coco"), ("ΝΙΚΟ", "Niko"), ("B0b", "Bob"), ("Ёж", "Ëж")])
def test_whole_words_of_another_alphabet_have_one_appearance(one: str, other: str) -> None:
    assert appearance(one) == appearance(other)


@pytest.mark.parametrize("name", ["Tom", "Tim 2", "Tim.", "Tím", "Иван", "Νίκος", "山田タロウ", "Иван (Ivan)", "Ada 👩‍🚀"])
def test_other_names_are_not_refused(name: str) -> None:
    assert why_not_nickname(name, ["Tim", "Bea"]) is None


def test_a_word_of_two_alphabets_is_named_with_both() -> None:
    assert mixed_scripts("Bob А\u0064а") == ("Cyrillic", "Latin")
    assert mixed_scripts("Иван Ivan") == ()

"""A report of cards: each finding as a sentence, how sure it is, its picture and numbers, and what one could do next."""

from collections.abc import Sequence

from evenhand.explain import Card
from evenhand.model.words import plural
from evenhand.report.blocks import Item, Report, ReportSection, ReportTable
from evenhand.report.cards import figures
from evenhand.report.cards.pictures import CardTable, picture, table
from evenhand.report.page import sentence


def cards_report(title: str, facts: Sequence[tuple[str, str]], cards: Sequence[Card]) -> Report:
    """The report. The same cards give the same one.

    Args:
        title: of the page.
        facts: label and value, on top.
        cards: in order.

    Returns:
        A section for each card; those that have nothing to say come last, and say why.
    """
    ordered = sorted(cards, key=lambda card: not card.says)
    said = sum(card.says for card in cards)
    lead = f"{said} of {plural(len(cards), 'question')} have an answer here; the others say what they lack."
    return Report(title, "live", "", (lead,), tuple(facts), tuple(map(card_section, ordered)))


def card_section(card: Card) -> ReportSection:
    """One card as a section of a report."""
    drawn, numbers = picture(card), table(card)
    steps = f" What one could do: {'; '.join(step.words for step in card.next)}." if card.next else ""
    item = Item(
        key=card.key,
        title="How that is known",
        n=f"n = {plural(card.n, 'trial')}",
        how=card.how,
        spec=None if drawn is None else figures.figure(drawn),
        table=None if numbers is None or not card.says else report_table(numbers),
        why="" if card.says else card.finding,
        alt="" if drawn is None else drawn.alt,
        folded=True,
    )
    intro = f"{card.finding} {sentence(card.sure)}{steps}" if card.says else ""
    return ReportSection(card.key, card.title, intro.strip(), (item,))


def report_table(numbers: CardTable) -> ReportTable:
    """A card's table as a report's."""
    return ReportTable(numbers.columns, numbers.rows, numbers.numbers)

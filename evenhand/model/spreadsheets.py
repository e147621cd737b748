"""Cells as spreadsheet programs show them: what a person typed could be a formula there, so it is made text."""

import codecs
import re

FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")  # what a spreadsheet takes for the start of a formula, the wide forms included
TEXT_MARK = "'"  # before what a spreadsheet is to take for text
# Digits and words, as in "-1.7 points to -0.2 points", without what a formula could call anything by.
AMOUNT_PATTERN = re.compile(r"-[0-9](?:[\w .,%]| to -(?=[0-9]))*", re.ASCII)
CODE_MARK = codecs.BOM_UTF8.decode()  # at the beginning of a file, so that it is taken for UTF-8


def without_formula(text: str) -> str:
    """A cell's text that a spreadsheet shows as it is; numbers stay numbers, and so do amounts such as -0.75 to 1.00.

    Source: OWASP, "CSV Injection".
    """
    if not text.startswith(FORMULA_STARTS) or AMOUNT_PATTERN.fullmatch(text):
        return text
    try:
        float(text)
    except ValueError:
        return TEXT_MARK + text
    return text

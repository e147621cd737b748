"""Contracts for methods and tasks of one's own: one function each, which raises AssertionError where a rule is broken.

Evenhand's own methods and tasks pass the same functions. They need no test framework, and use the public names of Evenhand alone.

    from evenhand.testing import check_method, check_task

    def test_my_method():
        check_method(MyMethod)

    def test_my_task():
        check_task(my_task)
"""

from evenhand.testing.broken import Broken
from evenhand.testing.explanations import check_explanation
from evenhand.testing.methods import check_method
from evenhand.testing.tasks import check_task

__all__ = ["Broken", "check_explanation", "check_method", "check_task"]

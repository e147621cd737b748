"""The reports that the researcher's pages made last."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from evenhand.model.archive import Archive
from evenhand.model.recent import Recent
from evenhand.report.blocks import Report

MOST_KEPT_REPORTS = 6
MOST_KEPT_DOCUMENTS = 4  # of a report: each is a day's


@dataclass
class Made:
    """A report, the records that it is of, and its documents by name."""

    archive: Archive
    report: Report
    documents: Recent[str, bytes] = field(default_factory=lambda: Recent(MOST_KEPT_DOCUMENTS))


class Shelf:
    """Reports by study, mode and grouping; one is made at a time, since each takes seconds of a core."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Recent[tuple[int, str, str], Made] = Recent(MOST_KEPT_REPORTS)

    def report(self, key: tuple[int, str, str], archive: Archive, make: Callable[[], Report]) -> Made:
        """The report of these records: made before, or made now."""
        with self._lock:
            known = self._made.get(key)
            if known is None or known.archive != archive:
                known = self._made[key] = Made(archive, make())
            return known

    def document(self, made: Made, name: str, make: Callable[[], bytes]) -> bytes:
        """One of a report's documents: made before, or made now."""
        with self._lock:
            content = made.documents.get(name)
            if content is None:
                content = made.documents[name] = make()
            return content

"""What a database's URL says, and databases of other programs, for rooms above that read these."""

from evenhand.store.engine import file_of, first_line, shown
from evenhand.store.foreign import SQLITE_START, ForeignDatabase, Within
from evenhand.store.soundness import Fault, FaultKind, fault_of

__all__ = ["SQLITE_START", "Fault", "FaultKind", "ForeignDatabase", "Within", "fault_of", "file_of", "first_line", "shown"]

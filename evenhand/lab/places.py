"""What a database's URL says, for rooms above that open databases of other programs."""

from evenhand.store.engine import file_of, first_line, shown
from evenhand.store.soundness import Fault, FaultKind, fault_of

__all__ = ["Fault", "FaultKind", "fault_of", "file_of", "first_line", "shown"]

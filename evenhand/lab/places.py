"""What a database's URL says, for rooms above that open databases of other programs."""

from evenhand.store.engine import file_of, first_line, shown

__all__ = ["file_of", "first_line", "shown"]

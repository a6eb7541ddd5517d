"""Files that are brought: looked at, decided about, taken whole or not at all.

============== ======================================================================
``bring``      keeps a file's bytes; it waits to be looked at
``look``       what it would do: the import itself, rolled back
``reread``     the same file, read otherwise
``confirm``    a person wants it, and says what becomes of rows that need a decision
``take``       one transaction: all of it, or nothing
``discard``    a person does not want it; what was read of it stays, its bytes go
``work``       what is left to do of all that (the queue's call)
``take_now``   all in one, for commands
============== ======================================================================
"""

from readings.imports.desk import (
    bring,
    confirm,
    discard,
    earlier,
    look,
    reread,
    take,
    take_now,
    work,
)
from readings.imports.report import Decision, Report

__all__ = [
    "Decision",
    "Report",
    "bring",
    "confirm",
    "discard",
    "earlier",
    "look",
    "reread",
    "take",
    "take_now",
    "work",
]

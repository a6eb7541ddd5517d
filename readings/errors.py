"""What can go wrong with a reading or the registry, as one tree.

::

    ReadingError                  code
    ├── InvalidReading            invalid_reading     not a number, ends before it starts, …
    ├── UnknownMeter              unknown_meter       no meter with this serial
    ├── UnknownReading            unknown_reading     no reading with this id
    ├── ConflictingReading        conflict            same meter and period, other values
    ├── ToldTwice                 conflict            one file, the same period twice, other values
    ├── ReadingInFlight           being_minted        a correction while its minting is under way
    ├── ReasonRequired            reason_required     releases and exceptions say why
    ├── FileRefused               file_refused        a file that cannot be read as a whole
    │   └── AnswerNeeded          answer_needed       it can, once somebody says what is not in it
    └── RegistryError             registry_error
        ├── InvalidWallet         invalid_wallet      not 32 bytes of base58, or off the curve
        ├── OverlappingAssignment overlapping_assignment   two owners of one meter at once
        ├── WalletChangeConflict   wallet_change_conflict   decided already, void, or by who asked
        ├── UnknownOwner          unknown_owner       no owner with this user_id
        └── AlreadyRegistered     already_registered  the user_id or serial is taken

``submit`` and the other single services raise them; ``submit_many`` puts them into the outcome
of their item.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID


class ReadingError(Exception):
    """Root of everything that ``readings`` raises on purpose."""

    code = "reading_error"


class InvalidReading(ReadingError):
    """A value that cannot be a reading; nothing is stored."""

    code = "invalid_reading"


class UnknownMeter(ReadingError):
    """No meter has this serial; nothing is stored."""

    code = "unknown_meter"

    def __init__(self, serial: str) -> None:
        super().__init__(f"No meter with serial {serial!r} is registered")
        self.serial = serial


class UnknownReading(ReadingError):
    """No reading has this id."""

    code = "unknown_reading"

    def __init__(self, reading_id: UUID) -> None:
        super().__init__(f"There is no reading {reading_id}")
        self.reading_id = reading_id


class ConflictingReading(ReadingError):
    """The meter's period is already told, with other values; ``reading_id`` is the one we have."""

    code = "conflict"

    def __init__(self, reading_id: UUID) -> None:
        super().__init__(
            "The same meter and period came in before with other values; "
            f"correct reading {reading_id} instead"
        )
        self.reading_id = reading_id


class ToldTwice(ReadingError):
    """One file tells the same meter and period twice; which of them counts it does not say."""

    code = "conflict"

    def __init__(self) -> None:
        super().__init__("The file tells this meter and period twice, with other values")


class ReadingInFlight(ReadingError):
    """The reading is being minted; its outcome must be known before it can be corrected."""

    code = "being_minted"

    def __init__(self, reading_id: UUID) -> None:
        super().__init__(
            f"Reading {reading_id} is being minted; correct it once the outcome is known"
        )
        self.reading_id = reading_id


class ReasonRequired(ReadingError):
    """A decision of a person that is kept together with its reason."""

    code = "reason_required"

    def __init__(self, decision: str) -> None:
        super().__init__(f"{decision} needs a reason")


class FileRefused(ReadingError):
    """A file that cannot be read, or not to its end; ``line`` is where, if that is known."""

    code = "file_refused"

    def __init__(self, sentence: str, *, line: int | None = None) -> None:
        super().__init__(f"Line {line:,}: {sentence}" if line else sentence)
        self.line = line


class AnswerNeeded(FileRefused):
    """A file that does not say everything; ``option`` is what a person has to say."""

    code = "answer_needed"

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


class RegistryError(ReadingError):
    """Owners, wallets and meters that cannot be registered as asked."""

    code = "registry_error"


class InvalidWallet(RegistryError):
    """An address that must not be paid as it stands."""

    code = "invalid_wallet"


class WalletChangeConflict(RegistryError):
    """A decision about a wallet that cannot be taken, by this person or by anybody any more."""

    code = "wallet_change_conflict"


class OverlappingAssignment(RegistryError):
    """The meter would belong to two owners at once."""

    code = "overlapping_assignment"

    def __init__(self, serial: str, starts_at: datetime) -> None:
        super().__init__(
            f"Meter {serial} has another owner at or after {starts_at:%Y-%m-%d %H:%M} UTC"
        )


class UnknownOwner(RegistryError):
    """No owner has this ``user_id``."""

    code = "unknown_owner"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"No owner with user_id {user_id!r} is registered")


class AlreadyRegistered(RegistryError):
    """Another row bears the name that identifies it; ``row_id`` is that row's."""

    code = "already_registered"

    def __init__(self, what: str, name: str, row_id: UUID) -> None:
        super().__init__(f"{what} {name!r} is registered already")
        self.row_id = row_id

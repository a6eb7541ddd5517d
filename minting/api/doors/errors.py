"""What only the doors refuse.

::

    ApiError
    ├── CannotBeMinted        the reading's code   400   reading_id
    ├── MintFailed            mint_failed          409   reading_id, error_code, batch_id, batch_url
    └── MintStillRunning      mint_still_running   504   batch_id, batch_url
"""

from __future__ import annotations

from uuid import UUID

from rest_framework.exceptions import ErrorDetail

from minting.api.errors import ApiError
from readings.rules import ReadingCode


class CannotBeMinted(ApiError):
    """The reading is minted already, held, or nothing that is ever minted."""

    status_code = 400
    default_code = ReadingCode.STATUS_NOT_ALLOWED.value

    def __init__(self, reading_id: UUID, code: str, detail: str) -> None:
        super().__init__(detail, reading_id=str(reading_id))
        self.detail = ErrorDetail(detail, code)


class MintFailed(ApiError):
    """The batch ended, and this reading is not paid."""

    status_code = 409
    default_code = "mint_failed"

    def __init__(
        self, reading_id: UUID, *, error: str, error_code: str, batch_id: UUID, batch_url: str
    ) -> None:
        super().__init__(
            error or "The reading was not minted",
            reading_id=str(reading_id),
            error_code=error_code or None,
            batch_id=str(batch_id),
            batch_url=batch_url,
        )


class MintStillRunning(ApiError):
    """Nobody knows the outcome yet; the mint goes on."""

    status_code = 504
    default_code = "mint_still_running"

    def __init__(self, seconds: int, *, batch_id: UUID, batch_url: str) -> None:
        super().__init__(
            f"The outcome is not known after {seconds} s. The mint goes on; see {batch_url}",
            batch_id=str(batch_id),
            batch_url=batch_url,
        )

"""JSON in: strict, exact, and of bounded size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from minting.api.errors import BodyTooLarge


class DecimalJSONParser(BaseParser):
    """Numbers with a fraction become ``Decimal``, so that energy never is a float."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[Any],
        _media_type: str | None = None,
        _parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Reads the body, UTF-8 as RFC 8259 asks.

        Raises:
            BodyTooLarge: More bytes than ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
            ParseError: Not JSON; ``NaN`` and ``Infinity`` are not.
        """
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise BodyTooLarge(most)
        try:
            return json.loads(
                raw.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_refuse_constant
            )
        except RecursionError:
            raise ParseError("The body is not JSON that we read: nested too deeply") from None
        except (ValueError, InvalidOperation) as error:
            raise ParseError(f"The body is not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")

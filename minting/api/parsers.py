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
            ParseError: Not JSON, as ``NaN`` and ``Infinity`` are not; or a name twice in one
                object, a NUL, half a surrogate pair, of which nobody knows what is meant.
        """
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise BodyTooLarge(most)
        if not raw:
            return {}  # as DRF takes what says that it has no length
        try:
            body = json.loads(
                raw.decode("utf-8-sig"),
                parse_float=Decimal,
                parse_constant=_refuse_constant,
                object_pairs_hook=_object,
            )
            if b"\\u" in raw:  # the one way by which these get into JSON
                _require_storable(body)
        except RecursionError:
            raise ParseError("The body is not JSON that we read: nested too deeply") from None
        except (ValueError, InvalidOperation) as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!a} stands twice in one object")
    return body


def _require_storable(value: Any) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            _require_storable(name)
            _require_storable(each)
    elif isinstance(value, list):
        for each in value:
            _require_storable(each)
    elif isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        raise ValueError("a text holds a NUL or half a surrogate pair")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

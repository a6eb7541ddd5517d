"""The audit pack of a batch: what docs/audit-pack.md describes.

One JSON object a line: the batch, its transactions each followed by the readings that it pays in
the order of the memo's tree, what is not paid, what was left out, and an end with the digest of all
before it. Nothing in a pack is to be believed that the chain does not say, too.
"""

from minting.engine.audit_pack.codecs import MAX_TEXT
from minting.engine.audit_pack.lines import (
    FORMAT,
    MAX_LINE,
    TYPES,
    VERSION,
    PackBatch,
    PackEnd,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
    encode,
)
from minting.engine.audit_pack.stream import PackWriter, is_pack, read_pack

__all__ = [
    "FORMAT",
    "MAX_LINE",
    "MAX_TEXT",
    "TYPES",
    "VERSION",
    "PackBatch",
    "PackEnd",
    "PackExcluded",
    "PackLine",
    "PackReading",
    "PackTransaction",
    "PackUnpaid",
    "PackWriter",
    "encode",
    "is_pack",
    "read_pack",
]

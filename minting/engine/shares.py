"""A whole of lamports divided so that the parts add up to it: the largest remainder."""

from __future__ import annotations

from collections.abc import Sequence


def shares(whole: int, weights: Sequence[int]) -> list[int]:
    """Divides ``whole`` in proportion to ``weights``, in whole units, exactly.

    Each gets its proportion rounded down; what is left goes, one unit each, to those whose
    proportion lost most by that, the first of equals first (Hamilton's method).

    Args:
        whole: Not negative.
        weights: Not negative, and not all 0.

    Returns:
        As many parts, each less than one unit from its proportion; their sum is ``whole``.

    Raises:
        ValueError: Something is negative, or there is nobody to give to.
    """
    total = sum(weights)
    if whole < 0 or total <= 0 or min(weights) < 0:
        raise ValueError(f"{whole} cannot be divided by {list(weights)[:10]}")
    parts = [whole * weight // total for weight in weights]
    lost = [whole * weight % total for weight in weights]
    # A sort keeps the order of equals.
    first = sorted(range(len(weights)), key=lambda each: -lost[each])
    for index in first[: whole - sum(parts)]:
        parts[index] += 1
    return parts

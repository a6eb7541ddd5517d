"""The formal model (model/README.md): it holds, and every well-known mistake breaks it."""

from __future__ import annotations

import pytest

from model import check

pytestmark = pytest.mark.skipif(
    bool(check.missing()),
    reason=f"not installed: {', '.join(check.missing())} (apt-get install spin gcc)",
)


def test_no_reading_is_paid_twice_and_every_reading_ends():
    outcome = check.check()

    assert outcome.errors == 0, outcome.story or outcome.report
    assert outcome.states > 1_000_000  # a search that was cut short proves nothing


@pytest.mark.parametrize("mistake", check.MISTAKES)
def test_a_mistake_pays_twice(mistake):
    outcome = check.check(mistake)

    assert outcome.violated == "(paid<=1)", outcome.story or outcome.report


def test_the_nine_mistakes_are_known():
    assert len(check.MISTAKES) == 9

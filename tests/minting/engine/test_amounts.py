from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.engine.amounts import fraction_lost, kwh_total, tokens_for
from minting.engine.errors import InvalidBatchData
from minting.engine.types import U64_MAX

ONE = Decimal(1)
positive = st.decimals(
    min_value=Decimal("0.000000001"), max_value=Decimal(10_000_000), places=9, allow_nan=False
)


@pytest.mark.parametrize(
    ("kwh", "ratio", "decimals", "units"),
    [
        ("1", "1", 9, 1_000_000_000),
        ("0.1", "1", 9, 100_000_000),
        ("1.999999999", "1", 0, 1),
        ("0.000000001", "1", 9, 1),
        ("0.3", "0.333333333333", 9, 99_999_999),
        ("18446744073.709551615", "1", 9, U64_MAX),
        ("18446744073.7095516159", "1", 9, U64_MAX),
    ],
)
def test_energy_is_rounded_down_to_base_units(kwh, ratio, decimals, units):
    assert tokens_for(Decimal(kwh), ratio=Decimal(ratio), decimals=decimals) == units


@pytest.mark.parametrize(
    "kwh",
    [
        "0",
        "-0",
        "-1",
        "NaN",
        "sNaN",
        "Infinity",
        "1E-10",
        "18446744073.709551616",
        "1E+999999999999999",
        "1E-999999999999999",
    ],
)
def test_energy_that_earns_no_u64_is_refused(kwh):
    with pytest.raises(InvalidBatchData):
        tokens_for(Decimal(kwh), ratio=ONE, decimals=9)


@pytest.mark.parametrize(("ratio", "decimals"), [("0", 9), ("-1", 9), ("NaN", 9), ("1", -1)])
def test_a_rate_that_is_none_is_refused(ratio, decimals):
    with pytest.raises(InvalidBatchData, match="is no rate"):
        tokens_for(ONE, ratio=Decimal(ratio), decimals=decimals)


@given(kwh=positive, ratio=positive, decimals=st.integers(0, 9))
def test_units_and_what_was_lost_are_the_exact_product(kwh, ratio, decimals):
    exact = Fraction(kwh) * Fraction(ratio) * 10**decimals
    lost = fraction_lost(kwh, ratio=ratio, decimals=decimals)
    assert 0 <= lost < 1
    if 1 <= exact < U64_MAX + 1:
        assert tokens_for(kwh, ratio=ratio, decimals=decimals) + Fraction(lost) == exact


@given(kwh=positive)
def test_the_callers_context_changes_nothing(kwh):
    with localcontext(prec=2):
        units = tokens_for(kwh, ratio=ONE, decimals=9)
    assert units == int(kwh * 10**9)


@given(amounts=st.lists(positive))
def test_sums_are_exact(amounts):
    assert Fraction(kwh_total(amounts)) == sum(map(Fraction, amounts))

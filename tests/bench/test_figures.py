from __future__ import annotations

import pytest

from bench.figures import OURS, Book, Run, difference, percentile, queued


def run(**values) -> Run:
    """Ours, 120 readings of 60 wallets in two seconds."""
    usual = {
        "section": "ways",
        "workload": "120 of 60",
        "way": OURS,
        "accounts": "existing",
        "readings": 120,
        "of": 120,
        "wallets": 60,
        "of_wallets": 60,
        "seconds": 2.0,
        "transactions": 1,
        "fee_lamports": 5_000,
        "rent_lamports": 600,
        "calls": {"sendTransaction": 2, "getBalance": 1},
    }
    return Run(**{**usual, **values})


def test_a_percentile_is_a_value_that_was_measured():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]

    assert percentile(values, 50) == 3.0
    assert percentile(values, 95) == 5.0
    assert percentile(values, 1) == 1.0
    assert percentile([7.0], 50) == 7.0


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_nothing_is_refused(values, percent):
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_what_is_told_per_reading_and_wallet():
    measured = run(refused=3)

    assert measured.rate == 60
    assert measured.fee_per_wallet == pytest.approx(83.3, abs=0.1)
    assert measured.rent_per_wallet == 10
    assert measured.calls_per_thousand == 100  # refused ones are asked too


def test_a_sample_stands_for_all_that_its_wallets_are_paid():
    """20 of 1,200 readings, in 20 transactions; the whole pays each of 60 wallets twenty times."""
    sample = run(readings=20, of=1_200, wallets=20, fee_lamports=20 * 5_000, calls={"getSlot": 20})

    assert sample.fee_per_wallet == 20 * 5_000
    assert sample.calls_per_thousand == 20_000


def test_a_difference_names_what_moved_most_first():
    before = {"getSlot": 5, "getBalance": 1}
    after = {"getSlot": 6, "getBalance": 1, "sendTransaction": 9}

    assert difference(after, before) == {"sendTransaction": 9, "getSlot": 1}
    assert list(difference(after, before)) == ["sendTransaction", "getSlot"]


def test_requests_one_after_the_other_take_the_sum():
    assert queued([1.0], 50, 2) == (50.0, 50.0)
    assert queued([1.0, 3.0], 4, 1) == (8.0,)
    assert queued([1.0, 2.0, 3.0], 2, 2) == (3.0, 4.0)  # the sample in turn: 1+2, 3+1


def test_a_book_finds_runs_by_what_they_are():
    book = Book(runs=[run(), run(accounts="new"), run(section="fees", note="v0")])

    assert book.find("ways", accounts="new") == [run(accounts="new")]
    assert book.find("fees", note="v0") == [book.runs[2]]
    assert book.find("ways", "the listing") == []

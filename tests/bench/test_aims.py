from __future__ import annotations

from bench.aims import judge
from bench.figures import LISTING, ONE_BY_ONE, Book, Taken, Timing
from tests.bench.test_figures import run

THOUSAND = {
    "workload": "1,000 of 1,000",
    "readings": 1_000,
    "of": 1_000,
    "wallets": 1_000,
    "of_wallets": 1_000,
}


def verdicts(book: Book) -> dict[str, bool]:
    return {aim.what: aim.ok for aim in judge(book)}


def test_nothing_measured_is_nothing_judged():
    assert judge(Book()) == []


def test_lamports_a_wallet_are_judged_by_the_format():
    v1 = run(**THOUSAND, section="fees", note="v1", fee_lamports=17 * 5_000)
    v0 = run(**THOUSAND, section="fees", note="v0", fee_lamports=56 * 5_000)

    told = verdicts(Book(runs=[v1, v0]))

    assert told["lamports a wallet, v1"] is True  # 85.0, within 5 % of 83.3
    assert told["lamports a wallet, v0"] is False  # 280.0, not within 5 % of 263.2


def test_accounts_to_be_opened_are_no_fee_aim():
    new = run(**THOUSAND, section="fees", note="v1", accounts="new", fee_lamports=500_000)

    assert "lamports a wallet, v1" not in verdicts(Book(runs=[new]))


def test_intake_is_judged_by_its_rate_and_by_statements_that_do_not_grow():
    quick = Taken("many", 1_000, (0.2, 0.1, 0.3), few_statements=9, statements=9)
    slow = Taken("few", 1_000, (0.21,), few_statements=9, statements=9)
    growing = Taken("many", 1_000, (0.2,), few_statements=9, statements=12)

    told = verdicts(Book(intake=[quick, slow]))
    assert told["readings/s into the database, many"] is True
    assert told["readings/s into the database, few"] is False
    assert told["statements for 1,000 readings"] is True
    assert verdicts(Book(intake=[growing]))["statements for 1,000 readings"] is False


def test_three_hundred_times_one_by_one_from_a_sample_of_it():
    slow = run(
        way=ONE_BY_ONE, workload="1,000 of 1,000", readings=20, of=1_000, wallets=20, seconds=20.0
    )
    fast = run(**THOUSAND, seconds=3.3)
    name = "times one by one, 1,000 of 1,000, existing accounts"

    assert verdicts(Book(runs=[slow, fast]))[name] is True
    slower = run(**THOUSAND, seconds=3.4)
    assert verdicts(Book(runs=[slow, slower]))[name] is False


def test_the_listing_counts_on_the_node_that_rations():
    slow = run(**THOUSAND, section="limited", way=LISTING, seconds=100.0)
    fast = run(**THOUSAND, section="limited", seconds=5.0)
    told = verdicts(Book(runs=[slow, fast]))

    assert told[
        "times the listing, node of 100 requests a second, 1,000 of 1,000, existing accounts"
    ]
    assert told["requests above SOLANA_RPC_MAX_PER_SECOND"] is True


def test_a_429_shows_that_the_rate_was_not_kept():
    fast = run(**THOUSAND, section="limited", refused=1)

    assert verdicts(Book(runs=[fast]))["requests above SOLANA_RPC_MAX_PER_SECOND"] is False


def test_calls_rate_and_memory():
    calls = run(**THOUSAND, calls={"getSlot": 61})
    grown = run(
        section="growth",
        workload="100,000 of 5,000",
        readings=100_000,
        seconds=60.0,
        workers=2,
        peak_mb=301.0,
        note="2 workers",
    )
    told = verdicts(Book(runs=[calls, grown]))

    assert told["RPC calls for 1,000 wallets, existing accounts, through the queue"] is False
    assert told["readings/s, 100,000 of 5,000, 2 workers"] is True
    assert told["MB a worker at most (100,000 of 5,000, 2 workers)"] is False


def test_the_slowest_page_stands_for_all_with_its_limit():
    fast, slow = (Timing(name, ms, 200.0, 3, 150.0, ok=ms < 150) for name, ms in PAGES)

    assert verdicts(Book(timings=[fast, slow])) == {
        "ms at the median, slowest of 2 (POST mint-batch)": False
    }
    assert list(verdicts(Book(timings=[fast])).values()) == [True]


PAGES = (("GET readings", 20.0), ("POST mint-batch", 151.0))

"""The way to mint that settings choose, and what the chain says of a program that mints.

A program that others wrote is asked before anything depends on it: a mint of one base unit to an
address of nobody's is simulated. Its answer tells whether we may mint, whether exactly that is
minted, and what a group takes of a transaction's room.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from solders.pubkey import Pubkey

from minting.cluster.concurrency import together
from minting.cluster.nodes import Cluster
from minting.conf import MintingConfig
from minting.engine.blame import Blame, Fault, blame
from minting.engine.compose import unsigned_for_simulation
from minting.engine.errors import InsufficientFunds, MintingRefused, SolanaError
from minting.engine.programs.anchor import AnchorProgram
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import (
    Cost,
    Destination,
    Group,
    MessageVersion,
    MintFacts,
    Payment,
    PlannedTransaction,
    Simulation,
)
from minting.engine.wallets import associated_token_address

log = structlog.get_logger(__name__)

TRIES = 3
"""Questions about the payer's lamports, which other transactions take meanwhile."""

MEASURE_KEPT = 600.0
"""Seconds for which a process believes what a group takes; a program may be replaced."""

_NOTHING = UUID(int=0)
_AMOUNT_AT = 64
"""Of a token account's amount (u64, little endian) in its data."""


def program_for(config: MintingConfig, mint: MintFacts) -> ReadableMintProgram:
    """How a group is minted, as settings say; nothing is asked.

    Raises:
        MintingRefused: With the name of the account that cannot be found.
    """
    if config.program is None:
        return SplTokenProgram()
    return config.program.for_mint(mint, config.need_authority())


def told_way(config: MintingConfig) -> str:
    """For people: what is called to mint, and who signs besides our key."""
    if config.program is None:
        return "its token program, by our key"
    besides = f", signed by {', '.join(sorted(config.cosigners))} too" if config.cosigners else ""
    return f"{config.program.instruction} of the program {config.program.program}{besides}"


def explained(config: MintingConfig, err: object) -> str:
    """What a program's own error is called, in brackets, or nothing."""
    if config.program is None or not isinstance(err, dict):
        return ""
    match err.get("InstructionError"):
        case [int(), {"Custom": int(code)}]:
            name = config.program.explain(code)
            return f" ({name})" if name else ""
    return ""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one group takes of a transaction, its account's creation apart."""

    executed: int
    units: int


async def measured(cluster: Cluster, config: MintingConfig, mint: MintFacts) -> ReadableMintProgram:
    """The way to mint, with what a group of it takes; asked of the chain every ten minutes.

    Raises:
        MintingRefused: The program refuses to mint, with its error's name.
        InsufficientFunds: The payer cannot even pay for the simulation.
        SolanaError: The cluster did not answer.
    """
    program = program_for(config, mint)
    if not isinstance(program, AnchorProgram):
        return program
    key = _key(config, program)
    kept = _kept.get(key)
    if kept is None or kept.until < time.monotonic():
        kept = _kept[key] = _Kept(await ask(cluster, program, mint))
    return replace(program, executed=kept.measure.executed, units=kept.measure.units)


async def require_willing(cluster: Cluster, config: MintingConfig, mint: MintFacts) -> None:
    """Asks a program that mints whether it would, whatever it said before.

    Raises:
        MintingRefused: It would not, with its error's name.
        SolanaError: The cluster did not answer.
    """
    program = program_for(config, mint)
    if not isinstance(program, AnchorProgram):
        return
    try:
        _kept[_key(config, program)] = _Kept(await ask(cluster, program, mint))
    except InsufficientFunds as error:
        # Who cannot pay is told so when it is known what would be paid.
        log.warning("program_not_asked", reason=str(error))


@dataclass(frozen=True, slots=True)
class _Kept:
    measure: Measure
    until: float = field(default_factory=lambda: time.monotonic() + MEASURE_KEPT)
    """Monotonic seconds."""


_kept: dict[tuple[object, ...], _Kept] = {}
"""What programs take, by nodes, instruction and accounts."""


def _key(config: MintingConfig, program: AnchorProgram) -> tuple[object, ...]:
    return config.rpc_urls, program.discriminator, program.slots


async def ask(cluster: Cluster, program: AnchorProgram, mint: MintFacts) -> Measure:
    """Simulates a mint of one base unit, and of two by two calls: the second is what a group takes.

    Raises:
        As ``measured``.
    """
    probe = _probe(program, mint)
    shown = [probe.token_account, program.authority]
    for left in reversed(range(TRIES)):
        one, two = await together(
            cluster.simulate(_simulated(program, mint, (probe,) * count), shown) for count in (1, 2)
        )
        for simulation, count in ((one, 1), (two, 2)):
            if simulation.err is not None:
                await _refuse(cluster, program, mint, _plan((probe,) * count), simulation)
        _require_exact(program, one, two)
        # What we pay for besides may land between the two.
        if not (taken := _lamports(one) - _lamports(two)):
            break
        if not left:
            raise MintingRefused(
                f"The program {program.program} takes {taken} lamports of its own for each mint"
            )
    called = dict(two.inner_instructions).get(2, 0)
    return Measure(executed=1 + called, units=max(1, two.compute_units - one.compute_units))


async def refuses_everybody(
    cluster: Cluster, program: ReadableMintProgram, mint: MintFacts
) -> bool:
    """Whether a program refuses to mint at all, or only whom it just refused.

    Raises:
        SolanaError: The cluster did not answer.
    """
    if not isinstance(program, AnchorProgram):
        return False
    try:
        await ask(cluster, program, mint)
    except MintingRefused:
        return True
    except InsufficientFunds:
        return False
    return False


def _probe(program: AnchorProgram, mint: MintFacts) -> Destination:
    """One base unit for an address that nobody has a key of, and nobody can open or freeze."""
    wallet, _ = Pubkey.find_program_address([b"gridtoken probe"], program.program)
    group = Group("", wallet, (Payment(_NOTHING, 1),))
    return Destination(group, associated_token_address(wallet, mint), create=True)


def _plan(probes: tuple[Destination, ...]) -> PlannedTransaction:
    """In the oldest format, which every cluster takes. Only the first has its account created."""
    first, *rest = probes
    destinations = (first, *(replace(each, create=False) for each in rest))
    return PlannedTransaction(_NOTHING, destinations, MessageVersion.V0, Cost())


def _simulated(program: AnchorProgram, mint: MintFacts, probes: tuple[Destination, ...]) -> bytes:
    plan = _plan(probes)
    try:
        return unsigned_for_simulation(
            plan, mint=mint, program=program, authority=program.authority
        )
    except ValueError:  # more accounts than the oldest format has room for
        return unsigned_for_simulation(
            replace(plan, version=MessageVersion.V1),
            mint=mint,
            program=program,
            authority=program.authority,
        )


async def _refuse(
    cluster: Cluster,
    program: AnchorProgram,
    mint: MintFacts,
    plan: PlannedTransaction,
    simulation: Simulation,
) -> None:
    """Says why the simulation failed.

    Raises:
        MintingRefused: The program, or the token program that it called, said no.
        InsufficientFunds: The payer has not the fee and the rent of one account.
        SolanaError: It is nobody's fault.
    """
    found: Blame = blame(
        simulation.err, plan, mint=mint, program=program, authority=program.authority
    )
    if found.code == "insufficient_funds":
        rent, floor = await together([cluster.rent(mint.account_size), cluster.rent(0)])
        balance, _ = await cluster.balance(program.authority)
        raise InsufficientFunds(max(1, rent + floor - balance))
    if found.fault is Fault.AGAIN:
        raise SolanaError(f"{program.program} could not be asked: {found.why}")
    raise MintingRefused(
        f"The program {program.program} refuses to mint one base unit: {found.why}"
    )


def _require_exact(program: AnchorProgram, one: Simulation, two: Simulation) -> None:
    """One call gives one base unit, two give one more: no share for others, no other scale."""
    amounts = [
        int.from_bytes(view.data[_AMOUNT_AT : _AMOUNT_AT + 8], "little")
        for simulation in (one, two)
        for view in simulation.accounts[:1]
        if view is not None
    ]
    if len(amounts) != 2 or amounts[1] - amounts[0] != 1:
        raise MintingRefused(
            f"The program {program.program} does not mint what it is asked to: "
            f"one and two base units gave {' and '.join(map(str, amounts)) or 'nothing'}"
        )


def _lamports(simulation: Simulation) -> int:
    """What the payer would have left."""
    payer = simulation.accounts[1]
    return 0 if payer is None else payer.lamports

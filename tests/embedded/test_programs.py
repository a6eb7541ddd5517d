"""The real programs: both token programs, associated accounts, and instructions in words."""

from __future__ import annotations

from typing import Any

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import (
    AllocateParams,
    AssignParams,
    CreateAccountParams,
    CreateAccountWithSeedParams,
    allocate,
    assign,
    create_account,
    create_account_with_seed,
)
from spl.token import models
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import (
    approve,
    burn,
    close_account,
    create_associated_token_account,
    create_idempotent_associated_token_account,
    freeze_account,
    get_associated_token_address,
    initialize_account3,
    initialize_mint,
    initialize_mint2,
    mint_to,
    mint_to_checked,
    revoke,
    set_authority,
    thaw_account,
    transfer,
    transfer_checked,
)

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    memo,
    minted,
    opened,
    token_account,
    v0,
    v1,
    wallets,
)

PROCESSED = {"commitment": "processed"}
PAYER, WALLET, SPENDER = OPERATOR.pubkey(), HOUSEHOLD.pubkey(), OUTSIDER.pubkey()


def authority_to(new: Pubkey | None, kind: models.AuthorityType, account: Pubkey) -> Instruction:
    return set_authority(
        models.SetAuthorityParams(
            program_id=TOKEN_PROGRAM_ID,
            account=account,
            authority=kind,
            current_authority=PAYER,
            new_authority=new,
        )
    )


def test_token_2022_mints_into_accounts_of_its_own_size(chain: Chain) -> None:
    rent = chain.ask("getMinimumBalanceForRentExemption", 82)
    steps = [
        create_account(
            CreateAccountParams(
                from_pubkey=PAYER,
                to_pubkey=MINT.pubkey(),
                lamports=rent,
                space=82,
                owner=TOKEN_2022_PROGRAM_ID,
            )
        ),
        initialize_mint(
            models.InitializeMintParams(
                program_id=TOKEN_2022_PROGRAM_ID,
                mint=MINT.pubkey(),
                decimals=9,
                mint_authority=PAYER,
                freeze_authority=PAYER,
            )
        ),
    ]
    assert chain.land(v1(steps, chain.blockhash, signers=(OPERATOR, MINT)))["err"] is None
    address = get_associated_token_address(WALLET, MINT.pubkey(), TOKEN_2022_PROGRAM_ID)
    mint = mint_to_checked(
        models.MintToCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            mint=MINT.pubkey(),
            dest=address,
            mint_authority=PAYER,
            amount=7,
            decimals=9,
        )
    )
    create = create_idempotent_associated_token_account(
        PAYER, WALLET, MINT.pubkey(), TOKEN_2022_PROGRAM_ID
    )
    tx = v1([create, mint], chain.blockhash)
    assert chain.land(tx)["err"] is None
    shown = chain.ask("getAccountInfo", str(address), PROCESSED | {"encoding": "jsonParsed"})
    data = shown["value"]["data"]
    assert (data["program"], data["space"]) == ("spl-token-2022", 170)
    assert data["parsed"]["info"]["tokenAmount"]["amount"] == "7"
    assert data["parsed"]["info"]["extensions"] == [{"extension": "immutableOwner"}]
    assert shown["value"]["lamports"] == chain.ask("getMinimumBalanceForRentExemption", 170)
    (balance,) = chain.transaction(str(tx.signatures[0]))["meta"]["postTokenBalances"]
    assert balance["programId"] == str(TOKEN_2022_PROGRAM_ID)
    by_mint = chain.ask(
        "getTokenAccountsByOwner",
        str(WALLET),
        {"mint": str(MINT.pubkey())},
        PROCESSED | {"encoding": "base64"},
    )
    assert [row["pubkey"] for row in by_mint["value"]] == [str(address)]


def test_an_account_created_twice_fails_unless_it_is_asked_idempotently(
    mint_chain: Chain,
) -> None:
    create = create_associated_token_account(PAYER, WALLET, MINT.pubkey())
    assert mint_chain.land(v1([create], mint_chain.blockhash))["err"] is None
    failed = mint_chain.land(v1([create], mint_chain.blockhash))["err"]
    assert failed == {"InstructionError": [0, "IllegalOwner"]}
    assert mint_chain.land(v1([opened(WALLET)], mint_chain.blockhash))["err"] is None


def test_an_account_that_changed_hands_is_not_the_wallet_s(mint_chain: Chain) -> None:
    own = get_associated_token_address(PAYER, MINT.pubkey())
    steps = [opened(PAYER), authority_to(SPENDER, models.AuthorityType.ACCOUNT_OWNER, own)]
    assert mint_chain.land(v1(steps, mint_chain.blockhash))["err"] is None
    err = mint_chain.land(v1([opened(PAYER)], mint_chain.blockhash))["err"]
    assert err == {"InstructionError": [0, {"Custom": 0}]}
    # A mint alone pays the stranger: why the account's data is read before a wallet is paid.
    assert mint_chain.land(v1([minted(PAYER, 5)], mint_chain.blockhash))["err"] is None


def test_a_mint_without_authority_can_no_longer_mint(mint_chain: Chain) -> None:
    mint_chain.land(v1([opened(WALLET)], mint_chain.blockhash))
    give_up = authority_to(None, models.AuthorityType.MINT_TOKENS, MINT.pubkey())
    tx = v1([give_up], mint_chain.blockhash)
    assert mint_chain.land(tx)["err"] is None
    err = mint_chain.land(v1([minted(WALLET, 5)], mint_chain.blockhash))["err"]
    assert err == {"InstructionError": [0, {"Custom": 5}]}


def test_a_delegate_is_shown_and_found(mint_chain: Chain) -> None:
    own = get_associated_token_address(PAYER, MINT.pubkey())
    lend = approve(
        models.ApproveParams(
            program_id=TOKEN_PROGRAM_ID, source=own, delegate=SPENDER, owner=PAYER, amount=3
        )
    )
    closer = authority_to(WALLET, models.AuthorityType.CLOSE_ACCOUNT, own)
    steps = [opened(PAYER), minted(PAYER, 5), lend, closer]
    assert mint_chain.land(v1(steps, mint_chain.blockhash))["err"] is None
    options = PROCESSED | {"encoding": "jsonParsed"}
    chosen = {"mint": str(MINT.pubkey())}
    (row,) = mint_chain.ask("getTokenAccountsByDelegate", str(SPENDER), chosen, options)["value"]
    info = row["account"]["data"]["parsed"]["info"]
    assert row["pubkey"] == str(own)
    assert info["delegate"] == str(SPENDER)
    assert info["delegatedAmount"]["amount"] == "3"
    assert info["closeAuthority"] == str(WALLET)
    nobody = mint_chain.ask("getTokenAccountsByDelegate", str(Pubkey.default()), chosen, options)
    assert nobody["value"] == []


def words(chain: Chain, instruction: Instruction) -> Any:
    """Returns an instruction in words, whether or not it succeeds."""
    signers = [meta.pubkey for meta in instruction.accounts if meta.is_signer]
    people = tuple(one for one in (HOUSEHOLD, MINT) if one.pubkey() in signers)
    tx = v0([memo("first"), instruction], chain.blockhash, (OPERATOR, *people))
    chain.land(tx)
    shown = chain.transaction(str(tx.signatures[0]), encoding="jsonParsed")
    return shown["transaction"]["message"]["instructions"][1]


SOURCE, TARGET = token_account(WALLET), token_account(wallets(1)[0])
AMOUNT = {"amount": "3", "decimals": 9, "uiAmount": 3e-09, "uiAmountString": "0.000000003"}


@pytest.mark.parametrize(
    ("instruction", "kind", "info"),
    [
        (
            transfer(
                models.TransferParams(
                    program_id=TOKEN_PROGRAM_ID, source=SOURCE, dest=TARGET, owner=WALLET, amount=3
                )
            ),
            "transfer",
            {
                "source": str(SOURCE),
                "destination": str(TARGET),
                "authority": str(WALLET),
                "amount": "3",
            },
        ),
        (
            transfer_checked(
                models.TransferCheckedParams(
                    program_id=TOKEN_PROGRAM_ID,
                    source=SOURCE,
                    mint=MINT.pubkey(),
                    dest=TARGET,
                    owner=WALLET,
                    amount=3,
                    decimals=9,
                )
            ),
            "transferChecked",
            {
                "source": str(SOURCE),
                "mint": str(MINT.pubkey()),
                "destination": str(TARGET),
                "authority": str(WALLET),
                "tokenAmount": AMOUNT,
            },
        ),
        (
            mint_to(
                models.MintToParams(
                    program_id=TOKEN_PROGRAM_ID,
                    mint=MINT.pubkey(),
                    dest=TARGET,
                    mint_authority=PAYER,
                    amount=3,
                )
            ),
            "mintTo",
            {
                "mint": str(MINT.pubkey()),
                "account": str(TARGET),
                "mintAuthority": str(PAYER),
                "amount": "3",
            },
        ),
        (
            burn(
                models.BurnParams(
                    program_id=TOKEN_PROGRAM_ID,
                    account=SOURCE,
                    mint=MINT.pubkey(),
                    owner=WALLET,
                    amount=3,
                )
            ),
            "burn",
            {
                "account": str(SOURCE),
                "mint": str(MINT.pubkey()),
                "authority": str(WALLET),
                "amount": "3",
            },
        ),
        (
            approve(
                models.ApproveParams(
                    program_id=TOKEN_PROGRAM_ID,
                    source=SOURCE,
                    delegate=SPENDER,
                    owner=WALLET,
                    amount=3,
                )
            ),
            "approve",
            {
                "source": str(SOURCE),
                "delegate": str(SPENDER),
                "owner": str(WALLET),
                "amount": "3",
            },
        ),
        (
            revoke(models.RevokeParams(program_id=TOKEN_PROGRAM_ID, account=SOURCE, owner=WALLET)),
            "revoke",
            {"source": str(SOURCE), "owner": str(WALLET)},
        ),
        (
            close_account(
                models.CloseAccountParams(
                    program_id=TOKEN_PROGRAM_ID, account=SOURCE, dest=WALLET, owner=WALLET
                )
            ),
            "closeAccount",
            {"account": str(SOURCE), "destination": str(WALLET), "owner": str(WALLET)},
        ),
        (
            freeze_account(
                models.FreezeAccountParams(
                    program_id=TOKEN_PROGRAM_ID, account=SOURCE, mint=MINT.pubkey(), authority=PAYER
                )
            ),
            "freezeAccount",
            {
                "account": str(SOURCE),
                "mint": str(MINT.pubkey()),
                "freezeAuthority": str(PAYER),
            },
        ),
        (
            thaw_account(
                models.ThawAccountParams(
                    program_id=TOKEN_PROGRAM_ID, account=SOURCE, mint=MINT.pubkey(), authority=PAYER
                )
            ),
            "thawAccount",
            {
                "account": str(SOURCE),
                "mint": str(MINT.pubkey()),
                "freezeAuthority": str(PAYER),
            },
        ),
        (
            authority_to(SPENDER, models.AuthorityType.MINT_TOKENS, MINT.pubkey()),
            "setAuthority",
            {
                "mint": str(MINT.pubkey()),
                "authorityType": "mintTokens",
                "newAuthority": str(SPENDER),
                "authority": str(PAYER),
            },
        ),
        (
            initialize_mint2(
                models.InitializeMint2Params(
                    program_id=TOKEN_PROGRAM_ID,
                    mint=MINT.pubkey(),
                    decimals=9,
                    mint_authority=PAYER,
                )
            ),
            "initializeMint2",
            {"mint": str(MINT.pubkey()), "decimals": 9, "mintAuthority": str(PAYER)},
        ),
        (
            initialize_account3(
                models.InitializeAccount3Params(
                    program_id=TOKEN_PROGRAM_ID, account=SOURCE, mint=MINT.pubkey(), owner=WALLET
                )
            ),
            "initializeAccount3",
            {"account": str(SOURCE), "mint": str(MINT.pubkey()), "owner": str(WALLET)},
        ),
        (
            create_associated_token_account(PAYER, WALLET, MINT.pubkey()),
            "create",
            {
                "source": str(PAYER),
                "account": str(SOURCE),
                "wallet": str(WALLET),
                "mint": str(MINT.pubkey()),
                "systemProgram": str(Pubkey.default()),
                "tokenProgram": str(TOKEN_PROGRAM_ID),
            },
        ),
        (
            create_account_with_seed(
                CreateAccountWithSeedParams(
                    from_pubkey=PAYER,
                    to_pubkey=Pubkey.create_with_seed(PAYER, "mint", TOKEN_PROGRAM_ID),
                    base=PAYER,
                    seed="mint",
                    lamports=SOL,
                    space=82,
                    owner=TOKEN_PROGRAM_ID,
                )
            ),
            "createAccountWithSeed",
            {
                "source": str(PAYER),
                "newAccount": str(Pubkey.create_with_seed(PAYER, "mint", TOKEN_PROGRAM_ID)),
                "base": str(PAYER),
                "seed": "mint",
                "lamports": SOL,
                "space": 82,
                "owner": str(TOKEN_PROGRAM_ID),
            },
        ),
        (
            allocate(AllocateParams(pubkey=WALLET, space=5)),
            "allocate",
            {"account": str(WALLET), "space": 5},
        ),
        (
            assign(AssignParams(pubkey=WALLET, owner=TOKEN_PROGRAM_ID)),
            "assign",
            {"account": str(WALLET), "owner": str(TOKEN_PROGRAM_ID)},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_instructions_are_told_in_words(
    chain: Chain, instruction: Instruction, kind: str, info: dict[str, Any]
) -> None:
    told = words(chain, instruction)
    assert told["parsed"] == {"type": kind, "info": info}
    assert told["programId"] == str(instruction.program_id)


@pytest.mark.parametrize("data", [b"", b"\xfe", b"\x0e\x01"])
def test_what_cannot_be_told_in_words_is_shown_as_it_is(chain: Chain, data: bytes) -> None:
    told = words(chain, Instruction(TOKEN_PROGRAM_ID, data, []))
    assert set(told) == {"programId", "accounts", "data", "stackHeight"}

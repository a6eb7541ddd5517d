// mint_tokens_direct with the seed's accounts: the authority that signs is the mint's own.
#include "anchor.h"

enum { AUTHORITY, TOKEN_MINT, USER_TOKEN_ACCOUNT, TOKEN_PROGRAM, ACCOUNTS };
enum { AMOUNT_IS_ZERO = 6000, AMOUNT_TOO_LARGE = 6001 };
#define MOST 1000000000000ULL

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
  u8 *accounts[ACCOUNTS];
  input = read_accounts(input, accounts, ACCOUNTS);
  if (!input) return ACCOUNT_NOT_ENOUGH_KEYS;
  u64 size = *(u64 *)input;
  if (size < 8 || *(u64 *)(input + 8) != DISCRIMINATOR) return INSTRUCTION_FALLBACK_NOT_FOUND;
  if (size != 16) return INSTRUCTION_DID_NOT_DESERIALIZE;
  if (!IS_SIGNER(accounts[AUTHORITY])) return ACCOUNT_NOT_SIGNER;
  if (!IS_WRITABLE(accounts[TOKEN_MINT]) || !IS_WRITABLE(accounts[USER_TOKEN_ACCOUNT]))
    return CONSTRAINT_MUT;
  u64 amount = *(u64 *)(input + 16);
  if (!amount) return AMOUNT_IS_ZERO;
  if (amount > MOST) return AMOUNT_TOO_LARGE;
  return mint_to(accounts[TOKEN_PROGRAM], accounts[TOKEN_MINT], accounts[USER_TOKEN_ACCOUNT],
                 accounts[AUTHORITY], amount, 0);
}

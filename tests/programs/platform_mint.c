// mint_tokens_direct with the platform's accounts: the mint's authority is the program's own
// address of the seed "token_info_2022", and a REC validator signs besides.
#include "anchor.h"

enum {
  TOKEN_INFO, MINT, USER_TOKEN_ACCOUNT, AUTHORITY, REGISTRY_AUTHORITY, REC_VALIDATOR,
  TOKEN_PROGRAM, ACCOUNTS
};
enum { VALIDATOR_DID_NOT_SIGN = 6000, VALIDATOR_IS_AUTHORITY = 6001, PAUSED = 6002,
       AMOUNT_IS_ZERO = 6003, AMOUNT_TOO_LARGE = 6004 };
#define MOST 1000000000000ULL

__attribute__((section(".text"))) u64 entrypoint(u8 *input) {
  u8 *accounts[ACCOUNTS];
  input = read_accounts(input, accounts, ACCOUNTS);
  if (!input) return ACCOUNT_NOT_ENOUGH_KEYS;
  u64 size = *(u64 *)input;
  if (size < 8 || *(u64 *)(input + 8) != DISCRIMINATOR) return INSTRUCTION_FALLBACK_NOT_FOUND;
  if (size != 16) return INSTRUCTION_DID_NOT_DESERIALIZE;
  const u8 *program = input + 8 + size;

  volatile u64 name[2];  // "token_info_2022"; there is no section for constants
  name[0] = 0x6e695f6e656b6f74ULL;
  name[1] = 0x00323230325f6f66ULL;
  u8 bump[8];
  Seed seeds[2] = {{(u8 *)name, 15}, {bump, 1}};
  {
    u8 address[32];
    if (find_address(seeds, 1, program, address, bump)) return CONSTRAINT_SEEDS;
    if (!same(address, KEY(accounts[TOKEN_INFO]))) return CONSTRAINT_SEEDS;
  }
  if (!IS_WRITABLE(accounts[MINT]) || !IS_WRITABLE(accounts[USER_TOKEN_ACCOUNT]))
    return CONSTRAINT_MUT;
  if (!IS_SIGNER(accounts[AUTHORITY])) return ACCOUNT_NOT_SIGNER;
  if (!IS_SIGNER(accounts[REC_VALIDATOR])) return VALIDATOR_DID_NOT_SIGN;
  if (same(KEY(accounts[REC_VALIDATOR]), KEY(accounts[AUTHORITY]))) return VALIDATOR_IS_AUTHORITY;
  // Where the address holds data, its first byte stops everything.
  if (SIZE(accounts[TOKEN_INFO]) && *DATA(accounts[TOKEN_INFO])) return PAUSED;
  u64 amount = *(u64 *)(input + 16);
  if (!amount) return AMOUNT_IS_ZERO;
  if (amount > MOST) return AMOUNT_TOO_LARGE;
  Seeds own = {seeds, 2};
  return mint_to(accounts[TOKEN_PROGRAM], accounts[MINT], accounts[USER_TOKEN_ACCOUNT],
                 accounts[TOKEN_INFO], amount, &own);
}

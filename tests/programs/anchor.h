// What both test programs share: how the loader hands accounts over, and how another program is
// called. Everything is inlined, since the entry point must be the only function of its section
// (build.py), and stays within clang's 512 bytes of stack.

typedef unsigned char u8;
typedef unsigned long long u64;

typedef struct { u8 *key; u8 writable; u8 signer; } Meta;
typedef struct { u8 *program; Meta *accounts; u64 account_count; u8 *data; u64 data_size; } Call;
typedef struct {
  u8 *key; u64 *lamports; u64 data_size; u8 *data; u8 *owner; u64 rent_epoch;
  u8 signer, writable, executable;
} Info;
typedef struct { const u8 *bytes; u64 size; } Seed;
typedef struct { const Seed *seeds; u64 count; } Seeds;

// Constant pointers that hold the murmur3-32 of a syscall's name; build.py makes relocations of them.
static u64 (*const invoke_signed)(const Call *, const Info *, u64, const Seeds *, u64) =
    (void *)SOL_INVOKE_SIGNED_C;
static u64 (*const find_address)(const Seed *, u64, const u8 *, u8 *, u8 *) =
    (void *)SOL_TRY_FIND_PROGRAM_ADDRESS;

// An account begins: 0xff (or the number of an earlier one that it repeats), signer, writable,
// executable, four bytes, key, owner, lamports, size, data, room to grow, rent epoch.
#define KEY(account) ((account) + 8)
#define IS_SIGNER(account) ((account)[1])
#define IS_WRITABLE(account) ((account)[2])
#define SIZE(account) (*(u64 *)((account) + 80))
#define DATA(account) ((account) + 88)
#define ROOM 10240
#define IT static inline __attribute__((always_inline))

// Where each account begins; returns where the instruction's data does.
IT u8 *read_accounts(u8 *input, u8 **accounts, u64 wanted) {
  u64 count = *(u64 *)input;
  input += 8;
  if (count != wanted) return 0;
#pragma unroll
  for (u64 i = 0; i < wanted; i++) {
    if (*input != 0xff) {
      accounts[i] = accounts[*input];
      input += 8;
      continue;
    }
    accounts[i] = input;
    input += 88 + SIZE(input) + ROOM;
    input = (u8 *)(((u64)input + 7) & ~7ULL) + 8;
  }
  return input;
}

IT int same(const u8 *left, const u8 *right) {
  const u64 *a = (const u64 *)left, *b = (const u64 *)right;
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

IT void describe(Info *info, u8 *account) {
  info->key = KEY(account);
  info->owner = account + 40;
  info->lamports = (u64 *)(account + 72);
  info->data_size = SIZE(account);
  info->data = DATA(account);
  info->rent_epoch = ~0ULL;
  info->signer = IS_SIGNER(account);
  info->writable = IS_WRITABLE(account);
  info->executable = account[3];
}

// MintTo of either token program, signed by the transaction or, with seeds, by a derived address.
IT u64 mint_to(u8 *program, u8 *mint, u8 *to, u8 *authority, u64 amount, const Seeds *seeds) {
  u8 data[16];
  data[0] = 7;
#pragma unroll
  for (int i = 0; i < 8; i++) data[1 + i] = (u8)(amount >> (8 * i));
  Info infos[3];
  describe(&infos[0], mint);
  describe(&infos[1], to);
  describe(&infos[2], authority);
  Meta metas[3] = {{KEY(mint), 1, 0}, {KEY(to), 1, 0}, {KEY(authority), 0, 1}};
  Call call = {KEY(program), metas, 3, data, 9};
  return invoke_signed(&call, infos, 3, seeds, seeds ? 1 : 0);
}

// Anchor's own refusals, and the error codes of its clients.
#define INSTRUCTION_FALLBACK_NOT_FOUND 101
#define INSTRUCTION_DID_NOT_DESERIALIZE 102
#define CONSTRAINT_MUT 2000
#define CONSTRAINT_SEEDS 2006
#define ACCOUNT_NOT_ENOUGH_KEYS 3005
#define ACCOUNT_NOT_SIGNER 3010

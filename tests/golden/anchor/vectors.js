// Golden vectors: the mint instructions of our test IDLs, as the official JavaScript client encodes
// them. Version 0.31 reads IDLs of spec 0.1.0, version 0.29 the older form.
//
//     npm install --ignore-scripts && node vectors.js > vectors.json

const { readFileSync } = require("node:fs");
const { createHash } = require("node:crypto");
const { join } = require("node:path");
const recent = require("anchor-new");
const older = require("anchor-old");

const { Keypair, PublicKey, Connection } = recent.web3;
const TOKEN = new PublicKey("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const TOKEN_2022 = new PublicKey("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ATA = new PublicKey("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");

const key = (name) => Keypair.fromSeed(createHash("sha256").update(name).digest());
const address = (name) => key(name).publicKey;
const authority = key("operator");
const wallet = address("household 1");
const mint = address("mint");
const tokenAccount = (tokenProgram) =>
  PublicKey.findProgramAddressSync([wallet.toBytes(), tokenProgram.toBytes(), mint.toBytes()], ATA)[0];

// What a person would hand the client; the rest it finds by itself.
const given = {
  seed_mint: (program) => ({
    authority: authority.publicKey,
    tokenMint: mint,
    userTokenAccount: tokenAccount(program),
    tokenProgram: program,
  }),
  platform_mint: (program) => ({
    mint,
    userTokenAccount: tokenAccount(program),
    authority: authority.publicKey,
    registryAuthority: address("registry"),
    recValidator: address("validator"),
    tokenProgram: program,
  }),
  rich: (program) => ({
    mint,
    authority: authority.publicKey,
    payer: authority.publicKey,
    owner: wallet,
    referrer: null,
    tokenProgram: program,
  }),
};

function read(name) {
  const folder = name.startsWith("rich") ? __dirname : join(__dirname, "..", "..", "programs");
  return JSON.parse(readFileSync(join(folder, `${name}.json`)));
}

function methods(anchor, name, idl) {
  const connection = new Connection("http://127.0.0.1:9");
  const provider = new anchor.AnchorProvider(connection, new anchor.Wallet(authority), {});
  if (anchor === recent) return new anchor.Program(idl, provider).methods;
  return new anchor.Program(idl, new PublicKey(read(name).address), provider).methods;
}

async function vector(anchor, name, tokenProgram, amount) {
  const form = anchor === recent ? name : `${name}.old`;
  const method = name === "rich" ? "mintForOwner" : "mintTokensDirect";
  const call = methods(anchor, name, read(form))[method](new anchor.BN(amount));
  const accounts = given[name](tokenProgram);
  const made = await (anchor === recent ? call.accountsPartial(accounts) : call.accounts(accounts))
    .instruction();
  return {
    idl: form,
    token_program: tokenProgram.toBase58(),
    amount,
    program: made.programId.toBase58(),
    data: made.data.toString("hex"),
    accounts: made.keys.map((each) => [each.pubkey.toBase58(), each.isSigner, each.isWritable]),
  };
}

async function main() {
  const vectors = [];
  for (const anchor of [recent, older]) {
    for (const name of Object.keys(given)) {
      for (const [program, amount] of [[TOKEN, "1"], [TOKEN_2022, "18446744073709551615"]]) {
        vectors.push(await vector(anchor, name, program, amount));
      }
    }
  }
  const framework = Object.entries(recent.LangErrorCode).map(([name, code]) => [code, name]);
  console.log(JSON.stringify({ vectors, framework }, null, 1).replace(/\n {4,}| *\n {3}(?=\])/g, " "));
}

main();

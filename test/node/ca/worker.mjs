// A process that works on the CA of a folder until it is killed, or for a number of rounds: revokes the certificate it was
// given, if any, then issues, and revokes every other one. A line says what is done, before anything else is begun.
import { writeSync } from "node:fs";
import { openAuthority } from "../../../dist/node/ca/index.js";

const [folder, rounds, first] = process.argv.slice(2);
const authority = await openAuthority(folder);
const spki = authority.certificates[0].certificate.publicKey.spki;
const say = (...words) => writeSync(1, `${words.join(" ")}\n`);

const revoke = async (serial) => {
  await authority.revoke(serial, "superseded");
  say("revoked", serial);
};

say("ready");
if (first !== undefined) await revoke(first);
for (let round = 0; round < Number(rounds); round++) {
  const { serial, pem } = await authority.issue({ profile: "client", spki, subject: `client ${process.pid} ${round}` });
  say("issued", serial, Buffer.from(pem).toString("base64"));
  if (round % 2 === 1) await revoke(serial);
}

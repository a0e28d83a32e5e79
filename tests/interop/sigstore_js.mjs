// sigstore-js has no program that takes a trusted root and a signing config from files, so this is one:
//
//   sigstore_js.mjs sign   --signing-config F --token T --bundle OUT FILE
//   sigstore_js.mjs attest --signing-config F --token T --bundle OUT STATEMENT
//   sigstore_js.mjs verify --trusted-root F --identity I --issuer U --bundle F (FILE | sha256:HEX)
//
// $SIGSTORE_JS is the folder whose node_modules peers.sh filled. What signs and judges is the library alone, but for two
// things that it leaves to its caller: the identity is an expression, so it is anchored; and that a statement is about
// the artifact is for us to see, for which the file's digest must be among the statement's subjects.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const require = createRequire(`${process.env.SIGSTORE_JS}/here.js`);
const { SigningConfig, TrustedRoot } = require("@sigstore/protobuf-specs");
const { bundleFromJSON, bundleToJSON } = require("@sigstore/bundle");
const { bundleBuilderFromSigningConfig } = require("@sigstore/sign");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const names = ["signing-config", "trusted-root", "token", "bundle", "identity", "issuer"];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(names.map((name) => [name, { type: "string" }])),
});
const [command, subject] = positionals;
const json = (path) => JSON.parse(readFileSync(path, "utf8"));

async function sign(bundleType) {
  const config = json(values["signing-config"]);
  if (!config.tsaUrls?.length) delete config.tsaConfig; // an empty one, as cosign writes it, is refused there
  const builder = bundleBuilderFromSigningConfig({
    signingConfig: SigningConfig.fromJSON(config),
    identityProvider: { getToken: async () => values.token },
    bundleType,
    fetchOptions: { timeout: 30000, retry: { retries: 1 } },
  });
  const data = readFileSync(subject);
  const bundle = await builder.create(
    bundleType === "dsseEnvelope" ? { data, type: "application/vnd.in-toto+json" } : { data },
  );
  writeFileSync(values.bundle, JSON.stringify(bundleToJSON(bundle)));
}

function verify() {
  const bundle = bundleFromJSON(json(values.bundle));
  const data = subject.startsWith("sha256:") ? undefined : readFileSync(subject);
  const digest = data ? createHash("sha256").update(data).digest("hex") : subject.slice("sha256:".length);
  const trust = toTrustMaterial(TrustedRoot.fromJSON(json(values["trusted-root"])));
  new Verifier(trust).verify(toSignedEntity(bundle, data), {
    subjectAlternativeName: `^${values.identity.replace(/[^\w]/g, "\\$&")}$`,
    extensions: { issuer: values.issuer },
  });
  if (bundle.content.$case === "dsseEnvelope") {
    const statement = JSON.parse(Buffer.from(bundle.content.dsseEnvelope.payload));
    if (!statement.subject.some((one) => one.digest.sha256 === digest)) throw new Error(`no subject is ${digest}`);
  } else if (!data) throw new Error("a message signature needs the file");
}

try {
  if (command === "sign") await sign("messageSignature");
  else if (command === "attest") await sign("dsseEnvelope");
  else if (command === "verify") verify();
  else throw new Error(`no command ${command}`);
  console.log(`${command}: ok`);
} catch (error) {
  console.error(`error: ${error.code ?? error.name}: ${error.message}${error.cause ? `: ${error.cause.message}` : ""}`);
  process.exitCode = 1;
}

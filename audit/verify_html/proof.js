// Proofs: one entry's inclusion in a signed tree, carried alone (C2SP tlog-proof).
// The same rules as audit/proof.py.

const PROOF_FIRST_LINE = "c2sp.org/tlog-proof@v1";
const MAX_EXTRA_SIZE = 4 * 2 ** 20;
const MAX_PROOF_SIZE = Math.floor((MAX_EXTRA_SIZE * 4) / 3) + MAX_NOTE_SIZE + 8192;

function parseProof(content) {
  need(content.length <= MAX_PROOF_SIZE, `expected a proof of at most ${MAX_PROOF_SIZE} bytes`);
  let cut = -1;
  for (let at = 0; at + 1 < content.length && cut < 0; at += 1) if (content[at] === 10 && content[at + 1] === 10) cut = at;
  need(cut >= 0 && content.length > cut + 2, "expected a checkpoint behind an empty line");
  const head = content.subarray(0, cut);
  need(head.every((byte) => byte < 128), "expected a proof in ASCII");
  const [first, ...lines] = decodeUtf8(head, "a proof").split("\n");
  need(first === PROOF_FIRST_LINE, `expected the first line ${PROOF_FIRST_LINE}`);
  let extra = null;
  if (lines[0]?.startsWith("extra ")) {
    extra = parseBase64(lines.shift().slice(6));
    need(extra?.length && extra.length <= MAX_EXTRA_SIZE, "expected extra data in base64");
  }
  need(lines[0]?.startsWith("index "), "expected a line with the index");
  const index = lines.shift().slice(6);
  need(/^(?:0|[1-9][0-9]{0,18})$/.test(index) && BigInt(index) < 2n ** 63n - 1n, "expected an index in decimal");
  need(lines.length <= 63, "expected at most 63 hashes");
  const path = lines.map(parseBase64);
  need(path.every((node) => node?.length === HASH_SIZE), "expected hashes of 32 bytes in base64");
  return { index: BigInt(index), path, checkpoint: content.subarray(cut + 2), extra };
}

function parseCarried(extra) {
  const value = parseCanonical(decodeUtf8(extra, "extra data"), "extra data of canonical JSON");
  const carried = hasKeys(value, "header") || hasKeys(value, "header,payload,salt");
  need(carried && typeof value.header === "string", "expected extra data of header, payload and salt");
  const salt = typeof value.salt === "string" ? parseBase64(value.salt) : null;
  const paired = value.payload === undefined || (typeof value.payload === "string" && salt);
  need(paired, "expected extra data of texts, and a salt in base64");
  return { leaf: encoder.encode(value.header), salt, payload: value.payload ?? null };
}

/** Verify a proof alone; with the entry's header in a file of its own where the proof carries none. */
async function verifyProof(content, trust, leaf = null) {
  const proof = parseProof(content);
  need(leaf || proof.extra, "expected the entry, in the proof's extra data or beside it");
  const entry = leaf ? { leaf, salt: null, payload: null } : parseCarried(proof.extra);
  const opened = await trust.openNote(proof.checkpoint);
  const witnesses = await trust.cosigners(opened);
  if (witnesses.length < trust.required) throw new Failed("cosignatures", `${trust.required} by trusted witnesses`, String(witnesses.length));
  const { checkpoint } = opened;
  const size = parseNote(proof.checkpoint).text.split("\n")[1];
  await verifyInclusion(proof.index, BigInt(size), await leafHash(entry.leaf), proof.path, checkpoint.root);
  const header = parseHeader(decodeUtf8(entry.leaf, "an entry"));
  if (header.tenant !== opened.tenant) throw new Failed(INVARIANT.TENANT, opened.tenant, header.tenant);
  let payload = null;
  if (entry.salt) {
    if (entry.salt.length !== 32) throw new Failed("payload salt", "32 bytes", String(entry.salt.length));
    const commitment = await commitPayload(entry.salt, entry.payload);
    if (commitment !== header.commitment) throw new Failed(CHECK.COMMITMENT, header.commitment, commitment);
    payload = parseCanonical(entry.payload);
  }
  return { kind: "proof", passed: true, index: String(proof.index), header, payload, checkpoint, witnesses };
}

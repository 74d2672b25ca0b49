// Bytes, digests, keys and notes: what everything else on this page stands on.
// The same rules as audit/note.py, audit/checkpoint.py, audit/trust.py and audit/cosignature.py.

class Malformed extends Error {}
class Failed extends Error {
  constructor(check, expected, got) {
    super(`${check}: expected ${expected}, got ${got}`);
    Object.assign(this, { check, expected, got });
  }
}

const CHECK = CONSTANTS.checks;
const HASH_SIZE = 32;
const TILE_WIDTH = 256;
const MAX_NOTE_SIZE = 1000000;
const MAX_SIGNATURES = 100;
const encoder = new TextEncoder();

function need(condition, message) {
  if (!condition) throw new Malformed(message);
}

function decodeUtf8(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed(`expected ${what} in UTF-8`);
  }
}

function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function equal(left, right) {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const hex = (bytes) => Array.from(bytes, (byte) => HEX[byte]).join("");

/** Return the bytes whose one canonical base64 is `text`, null where there are none. */
function parseBase64(text) {
  try {
    const binary = atob(text);
    return btoa(binary) === text ? Uint8Array.from(binary, (char) => char.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const leafHash = (leaf) => sha256(concat(Uint8Array.of(0), leaf));

function nodeHash(left, right) {
  const node = new Uint8Array(1 + 2 * HASH_SIZE);
  node[0] = 1;
  node.set(left, 1);
  node.set(right, 1 + HASH_SIZE);
  return sha256(node);
}

/** Whether this browser can do what the page needs; otherwise why not. */
async function missingAbility() {
  if (!globalThis.crypto?.subtle) return "Web Crypto is not available here: open the file from disk or over HTTPS.";
  try {
    await importEd25519(Uint8Array.from(atob("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), (c) => c.charCodeAt(0)));
    return null;
  } catch {
    return "This browser cannot check Ed25519 signatures; a current Chromium, Firefox or Safari can.";
  }
}

const importEd25519 = (raw) => crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);

async function ed25519(publicBytes, signature, message) {
  if (signature.length !== 64) return false;
  try {
    return await crypto.subtle.verify({ name: "Ed25519" }, await importEd25519(publicBytes), signature, message);
  } catch {
    return false;
  }
}

const KEY_NAME = /^[^\p{C}\p{Z}+]+$/u;
const isKeyName = (name) => KEY_NAME.test(name) && [...name].length <= 255;
const ID = new RegExp(`^(?:${CONSTANTS.id})$`);
const isId = (text) => ID.test(`"${text}"`);
const LOG_KEY = 1;
const WITNESS_KEY = 4;

async function makeKey(name, type, publicBytes) {
  const digest = await sha256(concat(encoder.encode(`${name}\n`), Uint8Array.of(type), publicBytes));
  return { name, type, publicBytes, id: hex(digest.subarray(0, 4)) };
}

/** Read `name+id+base64`, of a log (type 1) or a witness (type 4). */
async function parseKey(text, type) {
  const [name, id, ...rest] = text.trim().split("+");
  const value = parseBase64(rest.join("+"));
  need(value?.length === 33 && isKeyName(name), "expected a verifier key: name, id and base64, joined by plus signs");
  need(value[0] === type, type === LOG_KEY ? "expected an Ed25519 key of a log" : "expected a key of a witness");
  const key = await makeKey(name, type, value.subarray(1));
  need(key.id === id, "expected a verifier key whose id is its own");
  return key;
}

function parseNote(bytes) {
  need(bytes.length <= MAX_NOTE_SIZE, `expected a note of at most ${MAX_NOTE_SIZE} bytes`);
  const whole = decodeUtf8(bytes, "a note");
  // eslint-disable-next-line no-control-regex
  need(!/[\u0000-\u0009\u000b-\u001f]/.test(whole), "expected a note without control characters");
  const cut = whole.lastIndexOf("\n\n");
  need(cut >= 0 && whole.length > cut + 2 && whole.endsWith("\n"), "expected a note of text, an empty line and signatures");
  const lines = whole.slice(cut + 2, -1).split("\n");
  need(lines.length <= MAX_SIGNATURES, `expected at most ${MAX_SIGNATURES} signatures`);
  return { text: whole.slice(0, cut) + "\n", signatures: lines.map(parseSignature) };
}

function parseSignature(line) {
  const [dash, name, ...rest] = line.split(" ");
  const value = parseBase64(rest.join(" "));
  need(dash === "\u2014" && rest.length && isKeyName(name), "expected a signature line of dash, key name and base64");
  need(value && value.length > 4, "expected a signature of key id and signature in base64");
  return { name, id: hex(value.subarray(0, 4)), value: value.subarray(4) };
}

function parseCheckpoint(text) {
  const lines = text.split("\n");
  need(lines.length > 3 && lines.pop() === "" && lines.every((line) => line), "expected origin, size, root and no empty line");
  const [origin, size, root] = lines;
  const value = parseBase64(root);
  need(value?.length === HASH_SIZE, "expected a root of 32 bytes in base64");
  return { origin, size: parseDecimal(size, "a tree size"), root: value };
}

function parseDecimal(text, what) {
  const canonical = /^(?:0|[1-9][0-9]{0,18})$/.test(text) && BigInt(text) < 2n ** 63n;
  need(canonical, `expected ${what} in decimal without leading zeros`);
  return Number(text);
}

/** The keys that were given, and what they open; see audit/trust.py. */
class Trust {
  constructor(keys, witnesses, required, mayLag) {
    Object.assign(this, { keys, witnesses, required, mayLag });
  }

  static async parse(keyLines, witnessLines, required, mayLag = 0) {
    const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
    const keys = await Promise.all(lines(keyLines).map((line) => parseKey(line, LOG_KEY)));
    const witnesses = await Promise.all(lines(witnessLines).map((line) => parseKey(line, WITNESS_KEY)));
    need(keys.length, "expected at least one key of the log");
    const count = (told) => new Set(witnesses.map(told)).size;
    const distinct = count((one) => `${one.name} ${hex(one.publicBytes)}`);
    need(count((one) => hex(one.publicBytes)) === distinct, "expected each witness once, got one key twice");
    need(count((one) => one.name) === distinct, "expected each witness once, got one name twice");
    need(required >= 0 && required <= distinct, `expected the keys of at least ${required} witnesses`);
    need(mayLag >= 0 && (!mayLag || required), "expected witnesses that may lag only where cosignatures are required");
    return new Trust(keys, witnesses, required, mayLag);
  }

  tenantOf(origin) {
    const cut = origin.lastIndexOf("/");
    const [parent, tenant] = [origin.slice(0, Math.max(cut, 0)), origin.slice(cut + 1)];
    const known = this.keys.some((key) => key.name === origin || key.name === parent);
    return known && isId(tenant) ? tenant : null;
  }

  async openNote(bytes, tenant) {
    const opened = this.readNote(bytes, tenant);
    const keys = await this.keysOf(opened.checkpoint.origin, opened.tenant);
    if (!(await signersOf(opened.note, keys)).length) {
      throw new Failed("note signature", `one by ${keys.map((key) => key.name).join(", ")}`, "none");
    }
    return opened;
  }

  /** Return the checkpoint in a note of a log of these keys, whoever signed it. */
  readNote(bytes, tenant) {
    const note = parseNote(bytes);
    const checkpoint = parseCheckpoint(note.text);
    const found = this.tenantOf(checkpoint.origin);
    if (found === null || (tenant !== undefined && found !== tenant)) {
      throw new Failed("checkpoint origin", `${this.keys[0].name}/${tenant ?? "<tenant>"}`, "another origin");
    }
    return { checkpoint, tenant: found, note };
  }

  /** Return the keys that were given for a log, under its origin. */
  async keysOf(origin, tenant) {
    const named = this.keys.map((key) => (key.name === origin ? key : makeKey(`${key.name}/${tenant}`, LOG_KEY, key.publicBytes)));
    return (await Promise.all(named)).filter((key) => key.name === origin);
  }

  async cosigners(opened) {
    const found = new Map();
    for (const signature of opened.note.signatures) {
      const witness = this.witnesses.find((one) => one.name === signature.name && one.id === signature.id);
      if (!witness || found.has(hex(witness.publicBytes))) continue;
      await this.verifyCosignature(opened.note.text, witness, signature.value);
      found.set(hex(witness.publicBytes), witness.name);
    }
    return [...found.values()];
  }

  async verifyCosignature(text, witness, value) {
    const time = value.length === 72 ? new DataView(value.buffer, value.byteOffset).getBigUint64(0) : 2n ** 63n;
    const message = encoder.encode(`cosignature/v1\ntime ${time}\n${text}`);
    if (time >= 2n ** 63n || !(await ed25519(witness.publicBytes, value.subarray(8), message))) {
      throw new Failed(CHECK.COSIGNATURE, `a valid one by ${witness.name}`, "an invalid one");
    }
  }
}

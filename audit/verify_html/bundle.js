// Bundles: the archive, the manifest, the logs in it.
// The same rules as audit/archive.py, audit/manifest.py, audit/bundle.py, audit/verify_log.py, audit/verify_bundle.py.

const BLOCK = 512;
const TOP = "evidence";
const MAX_MEMBERS = 200000;
const MAX_MEMBER_SIZE = 320 * 2 ** 20;
const MAX_MANIFEST_SIZE = 24 * 2 ** 20;
const MAX_SIZE = 2 ** 40;
const MAX_FINDINGS = 1000;
const PATH = /^evidence(?:\/[a-z0-9][a-z0-9._-]{0,63}){1,8}$/;
const SYSTEM_LOG = "system";

const padding = (size) => (BLOCK - (size % BLOCK)) % BLOCK;
const readBytes = async (blob, start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer());

/** Return the one header of a file: a header that differs from it in a bit is refused. */
function makeHeader(path, size) {
  need(PATH.test(path) && size >= 0 && size <= MAX_MEMBER_SIZE, "expected a file of the accepted names and sizes");
  const rest = path.slice(TOP.length + 1);
  const cut = rest.indexOf("/");
  const [prefix, name] = cut < 0 ? [TOP, rest] : [`${TOP}/${rest.slice(0, cut)}`, rest.slice(cut + 1)];
  need(name.length <= 100 && prefix.length <= 155, "expected a name of at most 100 characters");
  const text =
    name.padEnd(100, "\0") + "0000600\0" + "0000000\0".repeat(2) + size.toString(8).padStart(11, "0") + "\0" +
    "00000000000\0" + " ".repeat(8) + "0" + "\0".repeat(100) + "ustar\u000000" + "\0".repeat(64) +
    "0000000\0".repeat(2) + prefix.padEnd(155, "\0") + "\0".repeat(12);
  const header = encoder.encode(text);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.set(encoder.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return header;
}

function parseTarHeader(header) {
  if (header.length === BLOCK) {
    const ascii = (from, to) => Array.from(header.subarray(from, to), (byte) => String.fromCharCode(byte)).join("");
    const size = ascii(124, 136);
    if (/^[0-7]{11}\0$/.test(size)) {
      const strip = (text) => text.replace(/\0+$/, "");
      const path = `${strip(ascii(345, 500))}/${strip(ascii(0, 100))}`;
      const number = parseInt(size, 8);
      if (equal(header, makeHeader(path, number))) return [path, number];
    }
  }
  throw new Malformed("expected the header of a file in the one form that is written");
}

class Archive {
  static async open(blob) {
    const archive = new Archive();
    archive.blob = blob;
    archive.members = new Map();
    let offset = 0;
    for (let count = 0; ; count += 1) {
      need(count < MAX_MEMBERS, `expected at most ${MAX_MEMBERS} files in a bundle`);
      const header = await readBytes(blob, offset, offset + BLOCK);
      if (header.length === BLOCK && header.every((byte) => byte === 0)) break;
      const [path, size] = parseTarHeader(header);
      need(!archive.members.has(path), "expected each file once in the bundle, got one twice");
      archive.members.set(path, { offset: offset + BLOCK, size });
      offset += BLOCK + size + padding(size);
      need(offset <= blob.size, "expected a whole bundle, got one that breaks off");
    }
    const end = await readBytes(blob, offset, blob.size);
    need(end.length === 2 * BLOCK && end.every((byte) => byte === 0), "expected two empty blocks at the bundle's end");
    return archive;
  }

  async read(path, limit) {
    const member = this.members.get(path);
    need(member, "expected a file of the manifest's, got none");
    need(member.size <= limit, `expected a file of at most ${limit} bytes`);
    const content = await readBytes(this.blob, member.offset, member.offset + member.size + padding(member.size));
    need(content.subarray(member.size).every((byte) => byte === 0), "expected zeros behind a file's content");
    return content.subarray(0, member.size);
  }
}

function indexPath(index) {
  let path = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return path;
}

const tilePath = (level, index, width) => `tile/${level}/${indexPath(index)}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
const payloadsPath = (log, nth) => `${log}/payloads/${String(nth).padStart(9, "0")}.jsonl`;

function* checkpointsPaths({ log, checkpoints }) {
  for (let nth = 0; nth < Math.ceil(checkpoints / CONSTANTS.checkpointsAFile); nth += 1) {
    yield `${log}/checkpoints/${String(nth).padStart(9, "0")}.jsonl`;
  }
}

function* sectionPaths(section) {
  const { log, size, start, stop } = section;
  for (let nth = start / TILE_WIDTH; nth < Math.ceil(stop / TILE_WIDTH); nth += 1) {
    const width = Math.min(TILE_WIDTH, size - nth * TILE_WIDTH);
    yield `${log}/${tilePath("entries", nth, width)}`;
    yield `${log}/${tilePath(0, nth, width)}`;
    if (section.payloads) yield payloadsPath(log, nth);
  }
  if (size % TILE_WIDTH && stop < size) yield `${log}/${tilePath(0, Math.floor(size / TILE_WIDTH), size % TILE_WIDTH)}`;
  for (let level = 1, hashes = Math.floor(size / TILE_WIDTH); hashes; level += 1, hashes = Math.floor(hashes / TILE_WIDTH)) {
    for (let nth = 0; nth < Math.ceil(hashes / TILE_WIDTH); nth += 1) {
      yield `${log}/${tilePath(level, nth, Math.min(TILE_WIDTH, hashes - nth * TILE_WIDTH))}`;
    }
  }
  if (section.checkpoints) {
    yield `${log}/checkpoint`;
    yield* checkpointsPaths(section);
  }
}

const hasKeys = (value, keys) => isObject(value) && Object.keys(value).sort().join() === keys;
const isWord = (value) => typeof value === "string" && /^[ -~]{1,255}$/.test(value);
const isCount = (value) => Number.isInteger(value) && value >= 0 && value <= MAX_SIZE;

function parseManifest(content) {
  const value = parseCanonical(decodeUtf8(content, "a manifest"), "a manifest of canonical JSON");
  const fields = "complete,exported,files,format,keys,logs,policy,witnesses";
  need(hasKeys(value, fields) && value.format === CONSTANTS.format, `expected a manifest of format ${CONSTANTS.format}`);
  need(typeof value.complete === "boolean", "expected a manifest that says whether it is complete");
  for (const name of ["keys", "witnesses"]) {
    need(Array.isArray(value[name]) && value[name].length <= 100 && value[name].every(isWord), "expected keys as words");
  }
  need(value.policy === null || isWord(value.policy), "expected a policy's digest");
  const by = value.exported;
  const told = by === null || (hasKeys(by, "by,entry,purpose,time") && [by.by, by.purpose, by.time].every(isWord) && isCount(by.entry));
  need(told, "expected who exported it");
  need(Array.isArray(value.logs) && value.logs.length <= 10000, "expected a list of logs");
  value.logs.forEach(checkSection);
  need(Array.isArray(value.files), "expected a list of files");
  checkFiles(value);
  return value;
}

function checkSection(section) {
  const fields = "checkpoints,left_out,log,origin,payloads,root,size,start,stop";
  need(hasKeys(section, fields), "expected a section of a log");
  need(isWord(section.log) && isId(section.log) && isWord(section.origin), "expected a section with a log's id");
  need(typeof section.payloads === "boolean" && HASH_HEX.test(section.root), "expected a section with a root");
  const { size, start, stop, checkpoints, left_out: leftOut } = section;
  need([size, start, stop, checkpoints, leftOut].every(isCount), "expected counts");
  const whole = stop === size || stop % TILE_WIDTH === 0;
  need(start % TILE_WIDTH === 0 && start <= stop && stop <= size && whole, "expected a range of whole tiles within the log");
}

function checkFiles(manifest) {
  const due = (function* paths() {
    for (const section of manifest.logs) yield* sectionPaths(section);
  })();
  for (const line of manifest.files) {
    const formed = Array.isArray(line) && line.length === 3 && typeof line[0] === "string" && isCount(line[1]);
    need(formed && HASH_HEX.test(line[2]), "expected files of path, size and digest");
    need(due.next().value === line[0], "expected the files that follow from the sections, got another");
  }
  need(due.next().done, "expected the files that follow from the sections, got fewer");
}

function dumpAscii(value) {
  const spelled = isObject(value)
    ? `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${dumpAscii(value[key])}`).join(",")}}`
    : JSON.stringify(value);
  return spelled.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function parseLine(line) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Malformed("expected lines of JSON");
  }
  need(!Array.isArray(value) && dumpAscii(value) === line, "expected lines of JSON in the one form that is written");
  return value;
}

function splitLines(bytes) {
  const lines = decodeUtf8(bytes, "lines").split("\n");
  need(lines.pop() === "", "expected lines that end with a newline");
  return lines;
}

function parseLeaves(content, width) {
  const leaves = [];
  let at = 0;
  while (at < content.length && leaves.length < width) {
    const start = at + 2;
    at = start + ((content[at] << 8) | (content[at + 1] ?? 0));
    leaves.push(content.subarray(start, at));
  }
  need(leaves.length === width && at === content.length, `expected a bundle of ${width} whole entries and no more`);
  return leaves;
}

function parseEntryLine(text) {
  const line = parseLine(text);
  const known = isObject(line) && Object.keys(line).every((key) => ["erased_by", "index", "payload", "salt"].includes(key));
  const isIndex = (value) => Number.isSafeInteger(value) && value >= 0;
  need(known && isIndex(line.index), "expected a line of index, payload and salt");
  need(line.payload === undefined || typeof line.payload === "string", "expected a payload as text");
  need(line.erased_by === undefined || isIndex(line.erased_by), "expected the index of what erased it");
  const salt = typeof line.salt === "string" ? parseBase64(line.salt) : null;
  need(line.salt === undefined || salt, "expected a salt in base64");
  return { index: line.index, payload: line.payload ?? null, salt, erasedBy: line.erased_by ?? null };
}

/** One bundle, verified; what is found is gathered in `findings` and `warnings`. */
class BundleRun {
  constructor(trust, remembered, now, onProgress) {
    Object.assign(this, { trust, notes: remembered, now, onProgress, findings: [], warnings: [], more: 0, logs: [] });
    this.remembered = new Map();
    this.recorded = new Map();
    this.policies = new Map();
    this.altered = [];
    this.systemWhole = false;
    this.done = 0;
  }

  add(log, index, check, expected, got) {
    const warns = check === CHECK.INTENT || CONSTANTS.clockInvariants.includes(check);
    const kept = warns ? this.warnings : this.findings;
    if (kept.length < MAX_FINDINGS) kept.push({ log, index, check, expected, got });
    else if (!warns) this.more += 1;
  }

  async verify(blob) {
    const archive = await Archive.open(blob);
    this.archive = archive;
    this.manifest = parseManifest(await archive.read(`${TOP}/manifest.json`, MAX_MANIFEST_SIZE));
    this.digests = new Map(this.manifest.files.map(([path, , digest]) => [path, digest]));
    const found = [...archive.members].slice(0, -1).map(([path, { size }]) => `${path} ${size}`);
    const listed = this.manifest.files.map(([path, size]) => `${TOP}/${path} ${size}`);
    need(found.length === listed.length && found.every((line, at) => line === listed[at]), "expected the files that the manifest lists, in its order, and it last");
    this.total = this.manifest.logs.reduce((sum, log) => sum + log.stop - log.start, 0);
    await this.rememberAll();
    let whole = true;
    try {
      await this.verifyLogs();
    } catch (error) {
      if (!(error instanceof Malformed) || !this.altered.length) throw error;
      whole = false;
      // As in Python: what was found in the logs before is not shown, but which file was altered.
      Object.assign(this, { findings: [], warnings: [], more: 0, logs: [] });
    }
    await this.checkManifest();
    for (const path of new Set(this.altered)) {
      const [log, ...rest] = path.split("/");
      this.add(log, null, CHECK.FILE, `${rest.join("/")} of the listed SHA-256`, "other content");
    }
    const { manifest, findings, warnings, more, logs } = this;
    return { kind: "bundle", passed: !findings.length, manifest, findings, warnings, more, logs, whole };
  }

  async verifyLogs() {
    const seen = new Set();
    for (const section of this.manifest.logs) {
      if (seen.has(section.log) || (section.log === SYSTEM_LOG && seen.size)) {
        this.add(section.log, null, CHECK.LOG_ORDER, "each log once, system first", "another order");
      }
      seen.add(section.log);
      this.logs.push(await new LogRun(this, section).verify());
    }
    const due = new Set([...this.remembered.keys(), ...(this.manifest.complete ? this.recorded.keys() : [])]);
    for (const log of due) {
      if (!seen.has(log)) this.add(log, null, CHECK.LOG_PRESENT, "the log of a known checkpoint", "none");
    }
  }

  async rememberAll() {
    for (const note of this.notes) {
      const origin = new TextDecoder().decode(note).split("\n", 1)[0];
      const tenant = this.trust.tenantOf(origin) ?? "unnamed";
      const claim = await this.openNote(note, tenant);
      if (claim) this.remembered.set(tenant, [...(this.remembered.get(tenant) ?? []), claim]);
    }
  }

  async openNote(note, tenant) {
    let opened;
    try {
      opened = await this.trust.openNote(note, tenant);
    } catch (error) {
      if (error instanceof Malformed) this.add(tenant, null, CHECK.CHECKPOINT_NOTE, "a checkpoint of this log", error.message);
      else if (error instanceof Failed) this.add(tenant, null, CHECK.CHECKPOINT_NOTE, error.expected, error.got);
      else throw error;
      return null;
    }
    let witnesses = [];
    try {
      witnesses = await this.trust.cosigners(opened);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      this.add(tenant, null, CHECK.COSIGNATURE, error.expected, error.got);
    }
    return { size: opened.checkpoint.size, root: opened.checkpoint.root, signed: true, witnesses };
  }

  /** Read a file of the bundle against its digest. */
  async read(path, limit = MAX_MEMBER_SIZE) {
    const content = await this.archive.read(`${TOP}/${path}`, limit);
    if (hex(await sha256(content)) !== this.digests.get(path)) this.altered.push(path);
    return content;
  }

  async checkManifest() {
    const keys = await Promise.all(this.manifest.keys.map((key) => parseKey(key, LOG_KEY).catch(() => null)));
    const known = keys.every(Boolean) && keys.some((key) => this.trust.keys.some((one) => equal(one.publicBytes, key.publicBytes)));
    const first = this.manifest.logs[0]?.log ?? SYSTEM_LOG;
    if (!known) this.add(first, null, CHECK.MANIFEST, "log keys in their form, a trusted one among them", "others");
    this.logs.forEach((log, at) => {
      const section = this.manifest.logs[at];
      if (section.size !== log.size || section.root !== log.root) {
        this.add(section.log, null, CHECK.MANIFEST, `size ${log.size} and root ${log.root}`, `size ${section.size}, root ${section.root}`);
      }
      if (section.checkpoints && this.trust.tenantOf(section.origin) !== section.log) {
        this.add(section.log, null, CHECK.MANIFEST, "the origin of this log", "another");
      }
      if (section.left_out && section.start === 0 && section.stop === section.size) {
        this.add(section.log, null, CHECK.MANIFEST, "no checkpoints left out of a whole log", "some");
      }
    });
  }
}

class LogRun {
  constructor(run, section) {
    Object.assign(this, { run, section, log: section.log, erased: 0, withheld: 0, unchecked: 0, agreed: [] });
    this.whole = section.start === 0 && section.stop === section.size;
    this.first = section.start / TILE_WIDTH;
    this.tree = new GrowingTree((level, nth, hashes) => this.checkTile(level, nth, hashes));
    this.range = this.whole ? null : new RangeTree(section.size, (...at) => this.heldTile(...at));
    this.replay = new Replay(this.log, run.now, run.policies, section.start > 0);
    this.erasures = new Erasures(this.log);
    this.intents = new IntentLedger();
    const exported = run.manifest.exported;
    const mine = run.manifest.logs.find((log) => log.log !== SYSTEM_LOG)?.log === this.log;
    this.export = exported && mine && exported.entry >= section.start && exported.entry < section.stop ? exported : null;
  }

  add(index, check, expected, got) {
    this.run.add(this.log, index, check, expected, got);
  }

  async verify() {
    const own = await this.ownClaims();
    this.signed = [...own, ...(this.run.remembered.get(this.log) ?? [])];
    const recorded = this.run.recorded.get(this.log) ?? [];
    this.checkRecorded(recorded);
    const said = new Set(this.signed.map((claim) => `${claim.size} ${hex(claim.root)}`));
    const others = recorded.filter((claim) => !said.has(`${claim.size} ${hex(claim.root)}`));
    this.claims = [...this.signed, ...others].sort((left, right) => left.size - right.size);
    await this.settleUpTo(0, []);
    this.expected = this.section.start;
    for (let nth = this.first; nth < Math.ceil(this.section.stop / TILE_WIDTH); nth += 1) await this.verifyTile(nth);
    if (this.export) this.add(null, CHECK.MANIFEST, `entry ${this.export.entry} to record this export`, "another entry, or none");
    await this.checkTilesAtEnd();
    await this.checkEnd();
    if (this.log === SYSTEM_LOG) {
      this.run.policies = this.replay.policies;
      this.run.systemWhole = this.whole && !this.withheld;
    }
    return this.summary();
  }

  async summary() {
    const signed = this.agreed.filter((claim) => claim.signed);
    const root = this.range ? await this.range.root(this.section.size) : await this.tree.root();
    const largest = (claims) => claims.reduce((most, claim) => Math.max(most, claim.size), 0);
    const required = this.run.trust.required || 1;
    return {
      log: this.log, size: this.section.size, root: root ? hex(root) : "", signedSize: largest(signed),
      checkpoints: new Set(signed.map((claim) => claim.size)).size,
      cosignedSize: largest(signed.filter((claim) => claim.witnesses.length >= required)),
      witnesses: [...new Set(signed.flatMap((claim) => claim.witnesses))].sort(),
      start: this.section.start, stop: this.section.stop, erased: this.erased, withheld: this.withheld,
      unproven: this.replay.unproven, unchecked: this.unchecked,
    };
  }

  async ownClaims() {
    if (!this.section.checkpoints) return [];
    const last = await this.run.read(`${this.log}/checkpoint`, MAX_NOTE_SIZE);
    const lines = [];
    for (const path of checkpointsPaths(this.section)) lines.push(...splitLines(await this.run.read(path)).map(parseLine));
    need(lines.every((line) => typeof line === "string"), "expected checkpoints as texts");
    const notes = lines.map((line) => encoder.encode(line));
    need(notes.length === this.section.checkpoints && equal(notes[notes.length - 1], last), "expected as many checkpoints as the manifest says, the last one alone, too");
    const claims = new Map();
    for (const note of notes) {
      const claim = await this.run.openNote(note, this.log);
      if (!claim) continue;
      const name = `${claim.size} ${hex(claim.root)}`;
      claim.witnesses = [...new Set([...(claims.get(name)?.witnesses ?? []), ...claim.witnesses])];
      claims.set(name, claim);
    }
    return [...claims.values()];
  }

  checkRecorded(recorded) {
    if (!this.run.systemWhole || this.log === SYSTEM_LOG) return;
    for (const claim of this.signed) {
      if (!recorded.some((one) => one.size === claim.size && equal(one.root, claim.root))) {
        this.add(null, CHECK.CHECKPOINT_RECORDED, `an entry for size ${claim.size}`, "none");
      }
    }
  }

  /** Verify the entries of one tile: all digests at once, then what they say, in order. */
  async verifyTile(nth) {
    const { log, size, payloads } = this.section;
    const width = Math.min(TILE_WIDTH, size - nth * TILE_WIDTH);
    const leaves = parseLeaves(await this.run.read(`${log}/${tilePath("entries", nth, width)}`), width);
    const texts = leaves.map((leaf) => decodeUtf8(leaf, "an entry"));
    const lines = payloads ? splitLines(await this.run.read(payloadsPath(log, nth))).map(parseEntryLine) : [];
    need(!payloads || lines.length === width, `expected ${width} lines of payloads, got ${lines.length}`);
    const [hashes, commitments] = await Promise.all([
      Promise.all(leaves.map(leafHash)),
      Promise.all(lines.map((line) => (line.salt && line.payload !== null ? commitPayload(line.salt, line.payload) : null))),
    ]);
    await this.settleUpTo(nth * TILE_WIDTH + width, hashes);
    await this.tree.add(hashes);
    texts.forEach((text, offset) => this.checkEntry(nth * TILE_WIDTH + offset, text, lines[offset] ?? null, commitments[offset]));
    this.run.done += width;
    this.run.onProgress(this.run.done, this.run.total);
  }

  checkEntry(position, text, line, commitment) {
    const index = line ? line.index : position;
    if (index !== this.expected) this.add(index, CHECK.INDEX, String(this.expected), String(index));
    this.expected = index + 1;
    let header;
    try {
      header = parseHeader(text);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.add(index, CHECK.HEADER, "the canonical form", error.message);
      return;
    }
    this.checkExport(position, header);
    const payload = this.checkPayload(position, index, header, line, commitment);
    for (const [check, expected, got] of this.replay.observe(header, payload)) this.add(index, check, expected, got);
    for (const standing of this.erasures.observeEntry(position, header, payload)) {
      this.add(standing, CHECK.ERASURE, `erased, as entry ${position} says`, "something else");
    }
    if (this.intents.observe(position, header, payload)) this.warnOfEffect(position, "the outcome of an intent before", "of none that is open");
    if (header.event === EVENT.LOG_CHECKPOINT && line) this.recordCheckpoint(index, header, payload);
  }

  /** Tell of an effect outside the database; where entries are left out, its other half may stand there. */
  warnOfEffect(index, expected, got) {
    if (this.whole && !this.withheld) this.add(index, CHECK.INTENT, expected, got);
  }

  checkExport(position, header) {
    if (this.export?.entry !== position) return;
    const { by, purpose, time } = this.export;
    const same = header.principal === by && header.purpose === purpose && header.when === time;
    if (same && header.event === EVENT.AUDIT_EXPORT) this.export = null;
  }

  checkPayload(position, index, header, line, commitment) {
    if (!line) {
      this.withheld += 1;
      return null;
    }
    if (line.salt === null || line.payload === null) {
      this.erased += 1;
      if (line.salt !== null || line.payload !== null) {
        this.add(index, CHECK.ERASURE, "salt and payload erased together", "one of them");
      } else if (!this.erasures.observeGone(position, line.erasedBy)) {
        this.add(index, CHECK.ERASURE, "a later entry that erased it", "none");
      }
      return null;
    }
    if (line.erasedBy !== null) this.add(index, CHECK.ERASURE, "salt and payload erased, as is said", "both stand");
    if (line.salt.length !== 32 || commitment !== header.commitment) {
      this.add(index, CHECK.COMMITMENT, header.commitment, line.salt.length === 32 ? commitment : "a salt of another size");
      return null;
    }
    try {
      return parseCanonical(line.payload);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.add(index, CHECK.PAYLOAD, "canonical JSON", error.message);
      return null;
    }
  }

  recordCheckpoint(index, header, payload) {
    if (this.log === SYSTEM_LOG && header.resource && isObject(payload)) {
      const { size, root } = payload;
      if (Number.isInteger(size) && size >= 0 && typeof root === "string" && HASH_HEX.test(root)) {
        const bytes = Uint8Array.from(root.match(/../g), (pair) => parseInt(pair, 16));
        const claim = { size, root: bytes, signed: false, witnesses: [] };
        this.run.recorded.set(header.resource, [...(this.run.recorded.get(header.resource) ?? []), claim]);
        return;
      }
    }
    this.add(index, CHECK.PAYLOAD, "size and root of a checkpoint, in the system log", "something else");
  }

  /** Settle the claims on sizes up to `stop`, whose last leaves are `hashes`, not yet in the tree. */
  async settleUpTo(stop, hashes) {
    while (this.whole && this.claims.length && this.claims[0].size <= stop) {
      const claim = this.claims.shift();
      this.settle(claim, await this.tree.root(hashes.slice(0, claim.size - this.tree.size)));
    }
  }

  settle(claim, root) {
    if (equal(claim.root, root)) this.agreed.push(claim);
    else this.add(null, CHECK.CHECKPOINT_ROOT, `${hex(claim.root)} at size ${claim.size}`, `${hex(root)} at size ${claim.size}`);
  }

  async heldTile(level, nth, width) {
    const path = `${this.log}/${tilePath(level, nth, width)}`;
    return this.run.digests.has(path) ? this.run.read(path, TILE_WIDTH * HASH_SIZE) : null;
  }

  async checkTile(level, nth, hashes) {
    if (this.range && level) return;
    const index = nth + (this.range ? this.first : 0);
    const held = await this.heldTile(level, index, hashes.length);
    if (!held || !equal(held, concat(...hashes))) {
      this.add(null, CHECK.TILE, `the hashes below it in tile ${index} of level ${level}`, held ? "other hashes" : "none");
    }
  }

  async checkTilesAtEnd() {
    for (const [level, nth, hashes] of this.tree.partialTiles()) await this.checkTile(level, nth, hashes);
    if (!this.range) return;
    const fault = (level, nth) => this.add(null, CHECK.TILE, `tile ${nth} of level ${level} as the tile above says`, "another or none");
    for await (const [level, nth] of this.range.upperFaults()) fault(level, nth);
    for (let nth = this.first; nth < this.first + Math.floor(this.tree.size / TILE_WIDTH); nth += 1) {
      if (!(await this.range.fits(0, nth))) fault(0, nth);
    }
  }

  async checkEnd() {
    const size = this.section.size;
    for (const claim of this.claims) {
      const root = this.range && claim.size <= size ? await this.range.root(claim.size) : null;
      if (root) this.settle(claim, root);
      else if (claim.size > size) this.add(null, CHECK.CHECKPOINT_SIZE, `at least ${claim.size} entries`, String(size));
      else this.unchecked += 1;
    }
    for (const [index, eraser] of this.erasures.unsettled()) {
      if (this.whole && !this.withheld) this.add(index, CHECK.ERASURE, `entry ${eraser} to say that it erased it`, "no such entry");
      else this.replay.unproven += 1;
    }
    for (const index of this.intents.open.keys()) this.warnOfEffect(index, "an outcome", "none: nobody knows what became of it");
    const signed = this.agreed.filter((claim) => claim.signed);
    if (size && !signed.length) this.add(null, CHECK.SIGNED, "at least one that the log agrees with", "none");
    const required = this.run.trust.required;
    if (size && required && !signed.some((claim) => claim.witnesses.length >= required)) {
      this.add(null, CHECK.COSIGNED, `a checkpoint with ${required} by trusted witnesses`, "none");
    }
  }
}

const verifyBundle = (blob, trust, { remembered = [], now = null, onProgress = () => {} } = {}) =>
  new BundleRun(trust, remembered, now, onProgress).verify(blob);

// Bundles: the archive, the manifest, and what the files hold.
// The same rules as audit/archive.py, audit/manifest.py, audit/bundle_section.py and audit/bundle_reading.py.

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
    need(blob.size - offset === 2 * BLOCK, "expected two empty blocks at the bundle's end");
    const end = await readBytes(blob, offset, blob.size);
    need(end.every((byte) => byte === 0), "expected two empty blocks at the bundle's end");
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

const checkpointsPath = (log, nth) => `${log}/checkpoints/${String(nth).padStart(9, "0")}.jsonl`;

const besidePath = (log, nth) => `${log}/beside/${String(nth).padStart(9, "0")}.tlog-proof`;

function* checkpointsPaths({ log, checkpoints }) {
  for (let nth = 0; nth < Math.ceil(checkpoints / CONSTANTS.checkpointsAFile); nth += 1) {
    yield checkpointsPath(log, nth);
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
  for (let nth = 0; nth < (section.beside ?? 0); nth += 1) yield besidePath(log, nth);
}

const hasKeys = (value, keys) => isObject(value) && Object.keys(value).sort().join() === keys;
const isWord = (value) => typeof value === "string" && /^[ -~]{1,255}$/.test(value);
const isCount = (value) => Number.isInteger(value) && value >= 0 && value <= MAX_SIZE;

/** Count a byte. */
const countOf = (content, byte) => content.reduce((sum, one) => sum + (one === byte), 0);

function parseManifest(content) {
  const values = (countOf(content, 0x5b) + countOf(content, 0x7b)) * 40 + countOf(content, 0x2c) * 16;
  need(values <= content.length + 4096, "expected a manifest of files and logs, got more values than they have");
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
  const withFiles = value.logs.filter((section) => !sectionPaths(section).next().done).map((section) => section.log);
  need(new Set(withFiles).size === withFiles.length, "expected each file once in the bundle, got a log's twice");
  need(Array.isArray(value.files), "expected a list of files");
  checkFiles(value);
  return value;
}

function checkSection(section) {
  const fields = "checkpoints,left_out,log,origin,payloads,root,size,start,stop";
  const beside = isObject(section) && section.beside !== undefined;
  need(hasKeys(section, beside ? `beside,${fields}` : fields), "expected a section of a log");
  need(isWord(section.log) && isId(section.log) && isWord(section.origin), "expected a section with a log's id");
  need(typeof section.payloads === "boolean" && HASH_HEX.test(section.root), "expected a section with a root");
  const { size, start, stop, checkpoints, left_out: leftOut } = section;
  need([size, start, stop, checkpoints, leftOut].every(isCount), "expected counts");
  const whole = stop === size || stop % TILE_WIDTH === 0;
  need(start % TILE_WIDTH === 0 && start <= stop && stop <= size && whole, "expected a range of whole tiles within the log");
  const shows = (start > 0 || stop < size) && section.payloads && checkpoints > 0 && isCount(section.beside);
  need(!beside || (shows && section.beside >= 1 && section.beside <= CONSTANTS.maxBeside), "expected some entries beside a range with payloads");
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

// Following the log's keys from those that were given, by the handovers that stand in the logs.
// The same rules as audit/succession.py and the handovers of audit/signing.py.

const HANDOVER_TITLE = CONSTANTS.handover;
const MAX_HANDOVERS = CONSTANTS.maxHandovers;

const isSame = (left, right) => left.name === right.name && equal(left.publicBytes, right.publicBytes);

/** Return those of the keys that signed a note; none where it bears only others' signatures. */
async function signersOf(note, keys) {
  const message = encoder.encode(note.text);
  const found = new Set();
  for (const signature of note.signatures) {
    const key = keys.find((one) => one.name === signature.name && one.id === signature.id);
    if (!key || found.has(key)) continue;
    if (!(await ed25519(key.publicBytes, signature.value, message))) {
      throw new Failed("note signature", `a valid one by ${key.name}`, "an invalid one");
    }
    found.add(key);
  }
  return [...found];
}

/** Return the handover in a note that both of its keys signed. */
async function readHandover(text) {
  const note = parseNote(encoder.encode(text));
  const [title, ...lines] = note.text.split("\n");
  need(title === HANDOVER_TITLE && lines.length === 3 && lines[2] === "", "expected a handover of old and new log key");
  need(lines.every((line) => line === line.trim()), "expected keys without spaces around them");
  const [old, next] = await Promise.all([parseKey(lines[0], LOG_KEY), parseKey(lines[1], LOG_KEY)]);
  need(old.name === next.name && !equal(old.publicBytes, next.publicBytes), "expected two keys of one deployment");
  for (const key of [old, next]) {
    if (!(await signersOf(note, [key])).length) throw new Failed("note signature", `one by ${key.name}`, "none");
  }
  return { old, next, oldText: lines[0], nextText: lines[1] };
}

/** The keys of a verification: those that were given, those after them, those before them. */
class Succession {
  constructor(trust) {
    Object.assign(this, { trust, links: [] });
  }

  add({ old, next }) {
    const known = this.links.find((link) => isSame(link.old, old));
    if (known) {
      if (!isSame(known.next, next)) throw new Failed("handover", "one of a key in force", "a second one of it");
      return;
    }
    const circle = reached([next], this.links).some((key) => isSame(key, old));
    if (circle || this.links.some((link) => isSame(link.next, next))) throw new Failed("handover", "one to a new key", "one to a known one");
    if (this.links.length >= MAX_HANDOVERS) throw new Failed("handover", `at most ${MAX_HANDOVERS} of them`, "more");
    this.links.push({ old, next });
  }

  names(name, tenant) {
    return this.trust.tenantOf(`${name}/${tenant}`) === tenant;
  }

  /** Return, under a log's origin, the keys to believe, and those that went before them. */
  async keysOf(origin, tenant) {
    const named = (key) => makeKey(`${key.name}/${tenant}`, LOG_KEY, key.publicBytes);
    const mine = this.links.filter(({ old }) => `${old.name}/${tenant}` === origin);
    const links = await Promise.all(mine.map(async ({ old, next }) => ({ old: await named(old), next: await named(next) })));
    const given = await this.trust.keysOf(origin, tenant);
    const believed = reached(given, links);
    const before = reached(given, links.map(({ old, next }) => ({ old: next, next: old })));
    return { believed, earlier: before.filter((key) => !believed.some((one) => isSame(one, key))) };
  }
}

function reached(given, links) {
  const found = [];
  for (const start of given) {
    // `add` lets no circle in.
    for (let key = start; key; key = links.find(({ old }) => isSame(old, key))?.next) {
      if (!found.some((one) => isSame(one, key))) found.push(key);
    }
  }
  return found;
}

/** What one log says of its keys. */
class KeyWatch {
  constructor(succession, tenant) {
    Object.assign(this, { succession, tenant, handovers: [], finished: [] });
  }

  async observe(index, payload) {
    const told = isObject(payload) ? payload : {};
    if (typeof told.handover !== "string" || !["start", "finish"].includes(told.step)) {
      throw new Failed("handover", "a step of a roll-over, and its note", "none");
    }
    const handover = await readHandover(told.handover);
    if (told.old !== handover.oldText || told.new !== handover.nextText) throw new Failed("handover", "the keys of its note", "others");
    if (!this.succession.names(handover.old.name, this.tenant)) throw new Failed("handover", "one of this deployment", "another's");
    this.succession.add(handover);
    if (!this.handovers.some((one) => isSame(one.old, handover.old))) this.handovers.push({ ...handover, index });
    if (told.step === "finish" && !this.finished.some((one) => isSame(one.old, handover.old))) this.finished.push({ ...handover, index });
  }

  async leads({ old }) {
    const { believed, earlier } = await this.succession.keysOf(`${old.name}/${this.tenant}`, this.tenant);
    return [...believed, ...earlier].some((key) => key.name === `${old.name}/${this.tenant}` && equal(key.publicBytes, old.publicBytes));
  }

  async strays() {
    const leading = await Promise.all(this.handovers.map((one) => this.leads(one)));
    return this.handovers.filter((_, at) => !leading[at]).map(({ index }) => index);
  }

  async putDown() {
    const leading = await Promise.all(this.finished.map((one) => this.leads(one)));
    return this.finished.filter((_, at) => leading[at]);
  }

  async followed() {
    const leading = await Promise.all(this.handovers.map((one) => this.leads(one)));
    return this.handovers.filter((_, at) => leading[at]).map(({ old, nextText, index }) => `${old.id} to ${nextText} at entry ${index}`);
  }
}

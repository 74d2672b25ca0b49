// Entries: headers, payloads, and what must hold of them in order.
// The same rules as audit/event.py, audit/canonical.py, audit/replay.py and audit/intent.py.

const HEADER = new RegExp(`^(?:${CONSTANTS.header})$`);
const VAULT_ID = /^[a-z]{2,12}_[a-z0-9]{8,64}$/;
const HASH_HEX = /^[0-9a-f]{64}$/;
const CLOCK_SKEW = CONSTANTS.clockSkewMicroseconds;
const PAYLOAD_DOMAIN = encoder.encode(CONSTANTS.payloadDomain);
const INVARIANT = CONSTANTS.invariants;
const EVENT = CONSTANTS.events;

/** Return the microseconds since 1970 of a time in the one form, NaN for one that does not exist. */
function microseconds(text) {
  const [year, month, day, hour, minute, second] = text.slice(0, 19).split(/[-T:]/).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const exists = year > 0 && date.toISOString().slice(0, 19) === text.slice(0, 19);
  return exists ? date.getTime() * 1000 + Number(text.slice(20, 26)) : NaN;
}

function parseHeader(text) {
  const match = text.length <= CONSTANTS.maxHeaderSize ? HEADER.exec(text) : null;
  need(match, "expected a header in canonical form");
  const [, action, commitment, decision, event, outcome, policy, principal, purpose, resource, tenant, when] = match;
  const time = microseconds(when);
  need(!Number.isNaN(time), "expected a header with a time that exists");
  return { action, commitment, decision, event, outcome, policy, principal, purpose, resource, tenant, time, when };
}

function spell(value, depth = 16) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    need(Number.isSafeInteger(value), "expected integers of at most 53 bits");
    return String(value);
  }
  need(depth > 0, "expected a payload nested at most 16 deep");
  if (Array.isArray(value)) return `[${value.map((item) => spell(item, depth - 1)).join(",")}]`;
  // eslint-disable-next-line no-control-regex
  const keys = Object.keys(value).sort();
  need(keys.every((key) => /^[\u0000-\u007f]{1,64}$/.test(key)), "expected keys of 1 to 64 ASCII characters");
  return `{${keys.map((key) => `${JSON.stringify(key)}:${spell(value[key], depth - 1)}`).join(",")}}`;
}

/** Return the value whose canonical text is exactly `text`. */
function parseCanonical(text, what = "canonical JSON") {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Malformed(`expected ${what}`);
  }
  need(spell(value) === text, `expected ${what}, got another spelling`);
  return value;
}

const commitPayload = async (salt, payload) => hex(await sha256(concat(PAYLOAD_DOMAIN, salt, encoder.encode(payload))));

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function vaultIds(payload, key) {
  const values = isObject(payload) && Array.isArray(payload[key]) ? payload[key] : [];
  return values.filter((value) => typeof value === "string" && VAULT_ID.test(value));
}

const USES_RESOURCE = new Set([EVENT.MEMORY_READ, EVENT.MEMORY_REVEAL, EVENT.MEMORY_UPDATE]);
const USES_MEMORIES = new Set([...USES_RESOURCE, EVENT.MEMORY_SEARCH, EVENT.MEMORY_ORGANIZE]);
const MAKES_MEMORIES = new Set([EVENT.MEMORY_WRITE, EVENT.MEMORY_UPDATE, EVENT.MEMORY_ORGANIZE]);

class Replay {
  constructor(tenant, now, inherited, begun) {
    Object.assign(this, { tenant, now, inherited, begun, unproven: 0, latest: -Infinity, writeErased: false });
    this.policies = new Map();
    this.written = new Set();
    this.erasing = new Map();
  }

  *observe(header, payload) {
    if (header.tenant !== this.tenant) yield [INVARIANT.TENANT, this.tenant, header.tenant];
    yield* this.checkTime(header);
    yield* this.checkPolicy(header);
    if ((header.decision === "denied") !== (header.outcome === "denied")) {
      yield [INVARIANT.DECISION_OUTCOME, `one that fits ${header.decision}`, header.outcome];
    }
    if (header.outcome === "ok") {
      yield* this.checkMemories(header, payload);
      yield* this.checkKeys(header, payload);
    }
  }

  *checkTime(header) {
    if (header.time < this.latest - CLOCK_SKEW) {
      yield [INVARIANT.TIME_ORDER, "about an earlier entry's time or later", header.when];
      this.latest = header.time;
    }
    this.latest = Math.max(this.latest, header.time);
    if (this.now !== null && header.time > this.now + CLOCK_SKEW) {
      yield [INVARIANT.TIME_PAST, "about now or earlier", header.when];
    }
  }

  *checkPolicy(header) {
    if (header.event === EVENT.POLICY_LOAD && header.outcome === "ok" && !this.policies.has(header.policy)) {
      this.policies.set(header.policy, header.time);
    }
    const loaded = this.inherited.get(header.policy);
    if (this.policies.has(header.policy) || (loaded !== undefined && loaded <= header.time + CLOCK_SKEW)) return;
    if (this.begun && loaded === undefined) this.unproven += 1;
    else yield [INVARIANT.POLICY_KNOWN, "a digest from a policy.load entry before", header.policy];
  }

  *checkMemories(header, payload) {
    if (USES_MEMORIES.has(header.event)) {
      const used = new Set(vaultIds(payload, "memories"));
      if (USES_RESOURCE.has(header.event) && header.resource && VAULT_ID.test(header.resource)) used.add(header.resource);
      for (const memory of [...used].filter((one) => !this.written.has(one)).sort()) {
        if (this.writeErased || this.begun) this.unproven += 1;
        else yield [INVARIANT.MEMORY_WRITTEN, "an id from an entry before", memory];
      }
    }
    if (MAKES_MEMORIES.has(header.event)) {
      for (const memory of vaultIds(payload, "written")) this.written.add(memory);
      this.writeErased ||= payload === null;
      if (header.event === EVENT.MEMORY_WRITE && header.resource) this.written.add(header.resource);
    }
  }

  *checkKeys(header, payload) {
    const erasure = header.resource || "";
    if (header.event === EVENT.SUBJECT_ERASE && isObject(payload) && payload.step === "begun") {
      if (!this.erasing.has(erasure)) this.erasing.set(erasure, new Set());
      for (const subject of vaultIds(payload, "subjects")) this.erasing.get(erasure).add(subject);
    }
    if (header.event !== EVENT.KEY_DESTROY) return;
    const erased = this.erasing.get(erasure) || new Set();
    for (const subject of [...new Set(vaultIds(payload, "subjects"))].filter((one) => !erased.has(one)).sort()) {
      if (this.begun) this.unproven += 1;
      else yield [INVARIANT.KEY_ERASED, "an erasure of that person begun before", subject];
    }
  }
}

class Erasures {
  constructor(tenant, start) {
    Object.assign(this, { tenant, start, notShown: 0 });
    this.awaited = new Map();
    this.gone = new Set();
  }

  /** Take note of an erased payload; return whether an entry that comes later is said to have done it. */
  observeGone(index, erasedBy) {
    this.gone.add(index);
    if (erasedBy === null || erasedBy <= index) return false;
    if (!this.awaited.has(erasedBy)) this.awaited.set(erasedBy, new Set());
    this.awaited.get(erasedBy).add(index);
    return true;
  }

  *observeEntry(index, header, payload) {
    if (header.event !== EVENT.PAYLOAD_ERASE || header.outcome !== "ok") return;
    if (!isObject(payload) || payload.log !== this.tenant || !Array.isArray(payload.entries)) return;
    for (const one of payload.entries) {
      if (Number.isInteger(one) && one >= 0 && one < this.start) this.notShown += 1;
      else if (!Number.isInteger(one) || one < 0 || one >= index || !this.gone.has(one)) yield Number.isInteger(one) ? one : index;
      this.awaited.get(index)?.delete(one);
    }
  }

  /** Yield entries of a range that one behind it says it erased and that stand; settle the others. */
  *observeBeside(index, named) {
    for (const one of named) {
      if (!this.gone.has(one)) yield one;
      this.awaited.get(index)?.delete(one);
    }
  }

  *unsettled() {
    for (const [eraser, entries] of this.awaited) for (const one of entries) yield [one, eraser];
  }
}

class IntentLedger {
  constructor() {
    this.open = new Map();
  }

  /** Take note of an entry; return whether it is an outcome that fits no intent. */
  observe(index, header, payload) {
    const told = isObject(payload) ? payload : {};
    if (header.event === EVENT.EFFECT_INTENT && header.outcome === "ok") {
      this.open.set(index, typeof told.kind === "string" ? told.kind : "");
    }
    if (header.event !== EVENT.EFFECT_OUTCOME || payload === null) return false;
    const known = Number.isInteger(told.intent) ? this.open.get(told.intent) : undefined;
    if (known === undefined || (known !== "" && known !== told.kind)) return true;
    this.open.delete(told.intent);
    return false;
  }
}

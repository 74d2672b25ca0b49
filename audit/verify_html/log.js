// One pass over one log of a bundle. The same rules as audit/verify_log.py.

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
    this.keys = new KeyWatch(run.keys, this.log);
    this.keyEntries = [];
    this.earlier = 0;
    const exported = run.manifest.exported;
    const mine = run.manifest.logs.find((log) => log.log !== SYSTEM_LOG)?.log === this.log;
    const shown = exported && exported.entry >= section.start && exported.entry < section.stop;
    this.export = mine && (shown || exported?.entry >= section.size) ? exported : null;
  }

  add(index, check, expected, got) {
    this.run.add(this.log, index, check, expected, got);
  }

  async verify() {
    const own = await this.ownClaims();
    const shown = [...own, ...(this.run.remembered.get(this.log) ?? [])];
    this.signed = shown.filter((claim) => claim.signed);
    this.pending = shown.filter((claim) => !claim.signed).sort((left, right) => left.size - right.size);
    this.awaited = [...this.pending];
    this.pendingRoots = new Map();
    const recorded = this.run.recorded.get(this.log) ?? [];
    this.checkRecorded(this.signed);
    const said = new Set(this.signed.map((claim) => `${claim.size} ${hex(claim.root)}`));
    const others = recorded.filter((claim) => !said.has(`${claim.size} ${hex(claim.root)}`));
    this.claims = [...this.signed, ...others].sort((left, right) => left.size - right.size);
    await this.settleUpTo(0, []);
    this.expected = this.section.start;
    for (let nth = this.first; nth < Math.ceil(this.section.stop / TILE_WIDTH); nth += 1) await this.verifyTile(nth);
    if (this.export) this.add(null, CHECK.MANIFEST, `entry ${this.export.entry} to record this export`, "another entry, or none");
    await this.checkTilesAtEnd();
    await this.checkKeys();
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
      unproven: this.replay.unproven, unchecked: this.unchecked, earlier: this.earlier, handovers: await this.keys.followed(),
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
      const name = `${claim.size} ${hex(claim.root)} ${claim.signed}`;
      claim.notes.push(...(claims.get(name)?.notes ?? []));
      claim.witnesses = [...new Set([...(claims.get(name)?.witnesses ?? []), ...claim.witnesses])];
      claims.set(name, claim);
    }
    return [...claims.values()];
  }

  checkRecorded(claims) {
    if (!this.run.systemWhole || this.log === SYSTEM_LOG) return;
    const recorded = this.run.recorded.get(this.log) ?? [];
    for (const claim of claims) {
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
    for (const [position, payload] of this.keyEntries.splice(0)) await this.observeKey(position, payload);
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
    if (header.event === EVENT.LOG_KEY && header.outcome === "ok") {
      if (line) this.keyEntries.push([position, payload]);
      else this.replay.unproven += 1;
    }
  }

  async observeKey(position, payload) {
    try {
      await this.keys.observe(position, payload);
    } catch (error) {
      if (error instanceof Failed) this.add(position, CHECK.HANDOVER, error.expected, error.got);
      else if (error instanceof Malformed) this.add(position, CHECK.HANDOVER, "a note by the old and the new key", error.message);
      else throw error;
    }
  }

  /** Judge checkpoints by all keys that the logs have shown so far, and by which were put down. */
  async checkKeys() {
    for (const index of await this.keys.strays()) this.add(index, CHECK.HANDOVER, "one from or to a key that was given", "one between others");
    for (const claim of this.signed) {
      const retired = await this.keys.retired(claim.size);
      if (retired.length) await this.run.judge(claim, this.log, retired);
    }
    for (const claim of this.pending) {
      const judged = await this.run.judge(claim, this.log, await this.keys.retired(claim.size));
      if (!judged) continue;
      this.claims.push(judged);
      if (!judged.signed) this.earlier += 1;
      this.checkRecorded([judged]);
    }
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
      if (!CONSTANTS.erasable.includes(header.event)) {
        this.add(index, CHECK.ERASURE, `the payload of ${header.event}, which is kept`, "none");
      }
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
    while (this.whole && this.awaited.length && this.awaited[0].size <= stop) {
      const { size } = this.awaited.shift();
      this.pendingRoots.set(size, await this.tree.root(hashes.slice(0, size - this.tree.size)));
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
    const kept = new Set((this.run.remembered.get(this.log) ?? []).map((claim) => `${claim.size} ${hex(claim.root)}`));
    for (const claim of this.claims) {
      const root = this.range && claim.size <= size ? await this.range.root(claim.size) : this.pendingRoots.get(claim.size);
      if (root) this.settle(claim, root);
      else if (claim.size > size) this.add(null, CHECK.CHECKPOINT_SIZE, `at least ${claim.size} entries`, String(size));
      else if (kept.has(`${claim.size} ${hex(claim.root)}`)) {
        this.add(null, CHECK.REMEMBERED, `tiles that show the tree of size ${claim.size}`, "none");
      } else this.unchecked += 1;
    }
    for (const [index, eraser] of this.erasures.unsettled()) {
      const shown = this.section.start <= eraser && eraser < this.section.stop;
      if (eraser >= size || (shown && !this.withheld)) this.add(index, CHECK.ERASURE, `entry ${eraser} to say that it erased it`, "no such entry");
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

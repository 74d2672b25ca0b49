// One pass over one log of a bundle. The same rules as audit/verify_log.py.

class LogRun {
  constructor(run, section) {
    Object.assign(this, { run, section, log: section.log, erased: 0, withheld: 0, beside: new Set() });
    this.whole = section.start === 0 && section.stop === section.size;
    this.first = section.start / TILE_WIDTH;
    this.tree = new GrowingTree((level, nth, hashes) => this.checkTile(level, nth, hashes));
    this.range = this.whole ? null : new RangeTree(section.size, (...at) => this.heldTile(...at));
    this.replay = new Replay(this.log, run.now, run.policies, section.start > 0);
    this.erasures = new Erasures(this.log, section.start);
    this.intents = new IntentLedger();
    this.keys = new KeyWatch(run.keys, this.log);
    this.keyEntries = [];
    this.checkpoints = new Checkpoints(run, section, this.keys);
    const exported = run.manifest.exported;
    const mine = run.manifest.logs.find((log) => log.log !== SYSTEM_LOG)?.log === this.log;
    const shown = exported && exported.entry >= section.start && exported.entry < section.stop;
    this.export = mine && (shown || exported?.entry >= section.size) ? exported : null;
  }

  add(index, check, expected, got) {
    this.run.add(this.log, index, check, expected, got);
  }

  async verify() {
    await this.checkpoints.start();
    await this.checkpoints.settleUpTo(0, this.tree, []);
    this.expected = this.section.start;
    for (let nth = this.first; nth < Math.ceil(this.section.stop / TILE_WIDTH); nth += 1) await this.verifyTile(nth);
    if (this.export) this.add(null, CHECK.MANIFEST, `entry ${this.export.entry} to record this export`, "another entry, or none");
    await this.checkTilesAtEnd();
    for (const index of await this.keys.strays()) this.add(index, CHECK.HANDOVER, "one from or to a key that was given", "one between others");
    await this.checkpoints.judge(this.section.size, (size) => this.range.root(size));
    await this.checkEnd();
    if (this.log === SYSTEM_LOG) {
      this.run.policies = this.replay.policies;
      this.run.systemWhole = this.whole && !this.withheld;
    }
    return this.summary();
  }

  async summary() {
    const root = this.range ? await this.range.root(this.section.size) : await this.tree.root();
    const { signedSize, count, cosignedSize, witnesses, unchecked, earlier } = this.checkpoints;
    return {
      log: this.log, size: this.section.size, root: root ? hex(root) : "", signedSize, checkpoints: count,
      cosignedSize, witnesses: [...witnesses].sort(),
      start: this.section.start, stop: this.section.stop, erased: this.erased, withheld: this.withheld,
      unproven: this.replay.unproven, unchecked, earlier, beside: this.beside.size, handovers: await this.keys.followed(),
    };
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
    await this.checkpoints.settleUpTo(nth * TILE_WIDTH + width, this.tree, hashes);
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
        if (!this.run.recorded.has(header.resource)) this.run.recorded.set(header.resource, []);
        this.run.recorded.get(header.resource).push({ size, root: bytes });
        return;
      }
    }
    this.add(index, CHECK.PAYLOAD, "size and root of a checkpoint, in the system log", "something else");
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

  /** Take note of the entries behind a range that erased payloads in it; only a signed tree shows them. */
  async checkBeside() {
    const { size, stop } = this.section;
    const { signedSize, cosignedSize } = this.checkpoints;
    const reach = this.run.trust.required ? cosignedSize : signedSize;
    const root = this.range && reach === size ? await this.range.root(size) : null;
    let above = stop - 1;
    for (let nth = 0; nth < (this.section.beside ?? 0); nth += 1) {
      const proof = parseProof(await this.run.read(besidePath(this.log, nth)));
      const note = await this.run.read(`${this.log}/checkpoint`, MAX_NOTE_SIZE);
      need(proof.extra && equal(proof.checkpoint, note), "expected an entry beside the range, and the last checkpoint");
      const entry = parseCarried(proof.extra);
      const index = Number(proof.index);
      if (!root) continue; // read all the same: each file is held against its digest
      try {
        const named = await this.erasedBy(proof, entry, root, above);
        above = index;
        this.beside.add(index);
        for (const standing of this.erasures.observeBeside(index, named)) {
          this.add(standing, CHECK.ERASURE, `erased, as entry ${index} says`, "something else");
        }
      } catch (error) {
        if (error instanceof Failed) this.add(index, CHECK.BESIDE, error.expected, error.got);
        else if (error instanceof Malformed) this.add(index, CHECK.BESIDE, "an entry in its form", error.message);
        else throw error;
      }
    }
  }

  /** Return the entries of the range that an entry behind it says it erased; see audit/verify_beside.py. */
  async erasedBy({ index, path }, { leaf, salt, payload }, root, above) {
    const expect = (holds, expected, got) => {
      if (!holds) throw new Failed(CHECK.BESIDE, expected, got);
    };
    expect(index > BigInt(above), `one behind entry ${above}`, String(index));
    await verifyInclusion(index, BigInt(this.section.size), await leafHash(leaf), path, root);
    const header = parseHeader(decodeUtf8(leaf, "an entry"));
    expect(salt && payload !== null, "its payload", "none");
    expect(salt.length === 32 && (await commitPayload(salt, payload)) === header.commitment, header.commitment, "another");
    const value = parseCanonical(payload);
    const told = isObject(value) && value.log === header.tenant && Array.isArray(value.entries) ? value.entries : [];
    const { start, stop } = this.section;
    const inside = told.filter((one) => Number.isInteger(one) && one >= start && one < stop);
    const erases = header.event === EVENT.PAYLOAD_ERASE && header.outcome === "ok" && header.tenant === this.log;
    expect(erases && inside.length, "one that erased payloads in the range", "another");
    return inside;
  }

  async checkEnd() {
    const size = this.section.size;
    await this.checkBeside();
    this.replay.unproven += this.erasures.notShown;
    for (const [index, eraser] of this.erasures.unsettled()) {
      const shown = this.section.start <= eraser && eraser < this.section.stop;
      if (eraser >= size || this.beside.has(eraser) || (shown && !this.withheld)) this.add(index, CHECK.ERASURE, `entry ${eraser} to say that it erased it`, "no such entry");
      else this.replay.unproven += 1;
    }
    for (const index of this.intents.open.keys()) this.warnOfEffect(index, "an outcome", "none: nobody knows what became of it");
    const { count, cosignedSize } = this.checkpoints;
    if (!count) this.add(null, CHECK.SIGNED, "at least one that the log agrees with", "none");
    const { required, mayLag } = this.run.trust;
    const { stop } = this.section;
    if (required && size && !(cosignedSize && cosignedSize + mayLag >= stop)) {
      const lag = mayLag ? `, or all but ${mayLag} before it` : "";
      this.add(null, CHECK.COSIGNED, `a checkpoint with ${required} by trusted witnesses that covers entry ${stop - 1}${lag}`, cosignedSize ? `one of size ${cosignedSize}` : "none");
    }
  }
}

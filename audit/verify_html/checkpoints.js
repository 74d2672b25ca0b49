// Checkpoints of one log: held against its tree as that grows, judged by all keys at the end, none kept.
// The same rules as audit/verify_checkpoints.py.

const MAX_CHECKPOINTS_SIZE = 64 * 2 ** 20;

const bySize = (left, right) => left.size - right.size;

class Checkpoints {
  constructor(run, section, keys) {
    Object.assign(this, { run, section, log: section.log, keys, verdicts: [], roots: new Map(), next: null });
    this.whole = section.start === 0 && section.stop === section.size;
    this.kept = [...(run.remembered.get(this.log) ?? [])].sort(bySize);
    this.recorded = [...(run.recorded.get(this.log) ?? [])].sort(bySize);
    Object.assign(this, { signedSize: 0, cosignedSize: 0, count: 0, unchecked: 0, earlier: 0, witnesses: new Set() });
    Object.assign(this, { at: -1, cosignedAt: new Set(), saidAt: new Set() });
  }

  add(check, expected, got) {
    this.run.add(this.log, null, check, expected, got);
  }

  async start() {
    const { log, checkpoints } = this.section;
    if (checkpoints) {
      const last = await this.run.read(`${log}/checkpoint`, MAX_NOTE_SIZE);
      const lines = await this.linesOf(Math.ceil(checkpoints / CONSTANTS.checkpointsAFile) - 1);
      need(equal(noteOf(lines[lines.length - 1]), last), "expected the last checkpoint alone, too");
    }
    this.claims = this.whole ? this.all() : null;
    await this.advance();
  }

  async linesOf(nth) {
    const { log, checkpoints } = this.section;
    const due = Math.min(CONSTANTS.checkpointsAFile, checkpoints - nth * CONSTANTS.checkpointsAFile);
    const content = await this.run.read(checkpointsPath(log, nth), MAX_CHECKPOINTS_SIZE);
    need(countOf(content, 0x0a) === due, `expected ${due} checkpoints in a file`);
    return splitLines(content);
  }

  async *own() {
    for (let nth = 0; nth < Math.ceil(this.section.checkpoints / CONSTANTS.checkpointsAFile); nth += 1) {
      for (const line of await this.linesOf(nth)) yield this.readClaim(noteOf(line));
    }
  }

  readClaim(note) {
    try {
      const opened = this.run.trust.readNote(note, this.log);
      return { size: opened.checkpoint.size, root: opened.checkpoint.root, opened };
    } catch (error) {
      if (!(error instanceof Malformed) && !(error instanceof Failed)) throw error;
      return { size: -1, error };
    }
  }

  /** Yield what is claimed, smallest tree first: by the notes, by those that were kept, by the system log. */
  async *all() {
    const beside = [...this.kept, ...this.recorded].sort(bySize);
    let nth = 0;
    for await (const claim of this.own()) {
      for (; nth < beside.length && beside[nth].size < claim.size; nth += 1) yield beside[nth];
      yield claim;
    }
    yield* beside.slice(nth);
  }

  async advance() {
    const { value, done } = this.claims ? await this.claims.next() : { done: true };
    this.next = done ? null : value;
  }

  /** Hold the claims on sizes up to `stop`, whose last leaves are `hashes`, not yet in the tree, against it. */
  async settleUpTo(stop, tree, hashes) {
    const before = tree.size;
    let below = { size: 0, nodes: [] };
    for (; this.next && this.next.size <= stop; await this.advance()) {
      const { size, root } = this.next;
      const inside = size - before + tree.levels[0].length;
      let agrees = false;
      if (size >= before && inside >= below.size) {
        below = await extended(below, [...tree.levels[0], ...hashes].slice(below.size, inside));
        const got = await foldEdge([...tree.tileEdge, ...below.nodes]);
        agrees = equal(got, root);
        if (!agrees && this.roots.size < MAX_FINDINGS) this.roots.set(this.verdicts.length, got);
      }
      this.verdicts.push(agrees);
    }
  }

  /** Judge all claims by the keys that are known by now. */
  async judge(size, rootAt) {
    Object.assign(this, { size, rootAt, retired: await this.keys.putDown() });
    let [nth, largest] = [0, -1];
    for await (const claim of this.all()) {
      if (claim.error instanceof Malformed) this.add(CHECK.CHECKPOINT_NOTE, "a checkpoint of this log", claim.error.message);
      else if (claim.error) this.add(CHECK.CHECKPOINT_NOTE, claim.error.expected, claim.error.got);
      else {
        await this.judgeClaim(nth, claim, largest);
        largest = Math.max(largest, claim.size);
      }
      nth += 1;
    }
  }

  async judgeClaim(nth, claim, largest) {
    if (claim.size !== this.at) Object.assign(this, { at: claim.size, cosignedAt: new Set(), saidAt: new Set() });
    if (!claim.opened) {
      if (!this.saidAt.has(hex(claim.root))) await this.agrees(nth, claim);
      return;
    }
    const down = this.retired.filter(({ index }) => index < claim.size).map(({ old }) => old);
    const signed = await this.run.judge(claim.opened, this.log, down);
    const cosigners = await this.run.cosigners(claim.opened, this.log);
    if (signed === null) return;
    this.checkRecorded(claim);
    this.saidAt.add(hex(claim.root));
    if (!signed) this.earlier += 1;
    if (claim.size < largest) this.add(CHECK.CHECKPOINT_ORDER, `none smaller behind size ${largest}`, String(claim.size));
    else if ((await this.agrees(nth, claim)) && signed) this.countClaim(claim.size, cosigners);
  }

  async agrees(nth, claim) {
    if (claim.size > this.size) {
      this.add(CHECK.CHECKPOINT_SIZE, `at least ${claim.size} entries`, String(this.size));
      return false;
    }
    const got = this.whole ? this.roots.get(nth) : await this.rootAt(claim.size);
    if (!this.whole && !got) {
      if (claim.kept) this.add(CHECK.REMEMBERED, `tiles that show the tree of size ${claim.size}`, "none");
      else this.unchecked += 1;
      return false;
    }
    const same = this.whole ? this.verdicts[nth] : equal(got, claim.root);
    if (!same) this.add(CHECK.CHECKPOINT_ROOT, `${hex(claim.root)} at size ${claim.size}`, `${got ? hex(got) : "another"} at size ${claim.size}`);
    return same;
  }

  countClaim(size, cosigners) {
    if (size > this.signedSize || !this.count) this.count += 1;
    this.signedSize = Math.max(this.signedSize, size);
    for (const name of cosigners) {
      this.cosignedAt.add(name);
      this.witnesses.add(name);
    }
    if (this.cosignedAt.size >= (this.run.trust.required || 1)) this.cosignedSize = size;
  }

  checkRecorded(claim) {
    if (!this.run.systemWhole || this.log === SYSTEM_LOG) return;
    if (!this.recorded.some((one) => one.size === claim.size && equal(one.root, claim.root))) {
      this.add(CHECK.CHECKPOINT_RECORDED, `an entry for size ${claim.size}`, "none");
    }
  }
}

function noteOf(line) {
  const text = parseLine(line);
  need(typeof text === "string", "expected checkpoints as texts");
  return encoder.encode(text);
}

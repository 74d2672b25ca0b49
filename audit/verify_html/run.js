// Verifying a bundle: what is known across logs. One pass over each is log.js.
// The same rules as audit/verify_bundle.py, audit/verify.py and audit/verify_run.py.

/** One bundle, verified; what is found is gathered in `findings` and `warnings`. */
class BundleRun {
  constructor(trust, remembered, now, onProgress) {
    Object.assign(this, { trust, notes: remembered, now, onProgress, findings: [], warnings: [], more: 0, logs: [] });
    this.keys = new Succession(trust);
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
    const kept = [];
    for (const [log, claims] of this.remembered) {
      if (seen.has(log)) continue;
      for (const claim of claims) if ((await this.judge(claim.opened, log)) !== null) kept.push(log);
    }
    const due = new Set([...kept, ...(this.manifest.complete ? this.recorded.keys() : [])]);
    for (const log of due) {
      if (!seen.has(log)) this.add(log, null, CHECK.LOG_PRESENT, "the log of a known checkpoint", "none");
    }
  }

  async rememberAll() {
    for (const note of this.notes) {
      const origin = new TextDecoder().decode(note).split("\n", 1)[0];
      const tenant = this.trust.tenantOf(origin) ?? "unnamed";
      try {
        const opened = this.trust.readNote(note, tenant);
        const claim = { size: opened.checkpoint.size, root: opened.checkpoint.root, opened, kept: true };
        this.remembered.set(tenant, [...(this.remembered.get(tenant) ?? []), claim]);
      } catch (error) {
        if (error instanceof Malformed) this.add(tenant, null, CHECK.CHECKPOINT_NOTE, "a checkpoint of this log", error.message);
        else if (error instanceof Failed) this.add(tenant, null, CHECK.CHECKPOINT_NOTE, error.expected, error.got);
        else throw error;
      }
    }
  }

  /** Return the trusted witnesses that cosigned a checkpoint; none where a cosignature is wrong. */
  async cosigners(opened, tenant) {
    try {
      return await this.trust.cosigners(opened);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      this.add(tenant, null, CHECK.COSIGNATURE, error.expected, error.got);
      return [];
    }
  }

  /** Return whether a key signed it that is believed, or one before those; else say what is wrong: null. */
  async judge(opened, tenant, retired = []) {
    const { origin, size } = opened.checkpoint;
    const { believed, earlier } = await this.keys.keysOf(origin, tenant);
    let by;
    try {
      by = await signersOf(opened.note, [...believed, ...earlier]);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      this.add(tenant, null, CHECK.CHECKPOINT_NOTE, error.expected, error.got);
      return null;
    }
    const isDown = (key) => retired.some((one) => equal(one.publicBytes, key.publicBytes));
    if (!by.length) this.add(tenant, null, CHECK.CHECKPOINT_NOTE, `one by a known key of ${origin}`, "none");
    else if (by.every(isDown)) this.add(tenant, null, CHECK.KEY_IN_FORCE, `size ${size} signed by the key that took over`, "by one put down before");
    else return by.some((key) => believed.includes(key));
    return null;
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
    if (!this.manifest.logs.length) this.add(first, null, CHECK.MANIFEST, "at least one log", "none");
    this.logs.forEach((log, at) => {
      const section = this.manifest.logs[at];
      if (section.size !== log.size || section.root !== log.root) {
        this.add(section.log, null, CHECK.MANIFEST, `size ${log.size} and root ${log.root}`, `size ${section.size}, root ${section.root}`);
      }
      if (section.checkpoints && this.trust.tenantOf(section.origin) !== section.log) {
        this.add(section.log, null, CHECK.MANIFEST, "the origin of this log", "another");
      }
      if (log.signedSize > 0 && log.signedSize < section.stop) {
        this.add(section.log, null, CHECK.SIGNED_END, `a checkpoint that covers entry ${section.stop - 1}`, `one of size ${log.signedSize}`);
      }
      if (section.left_out && section.start === 0 && section.stop === section.size) {
        this.add(section.log, null, CHECK.MANIFEST, "no checkpoints left out of a whole log", "some");
      }
    });
  }
}

const verifyBundle = (blob, trust, { remembered = [], now = null, onProgress = () => {} } = {}) =>
  new BundleRun(trust, remembered, now, onProgress).verify(blob);

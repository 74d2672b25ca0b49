// The page: files in, findings out. It asks nobody and keeps nothing.

const element = (id) => document.getElementById(id);
const chosen = { file: null, entry: null };

function say(tag, text, className) {
  const made = document.createElement(tag);
  // Text alone: what stands in a bundle is a stranger's. Controls and marks that reorder are shown as escapes.
  const unsafe = tag === "pre" ? /(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu : /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
  made.textContent = text.replace(unsafe, (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`);
  if (className) made.className = className;
  return made;
}

function table(caption, head, rows) {
  const made = document.createElement("table");
  made.append(say("caption", caption));
  const line = (cells, tag) => {
    const row = document.createElement("tr");
    cells.forEach((cell, at) => {
      const made = say(at === 0 && tag === "td" ? "th" : tag, String(cell));
      if (tag === "th" || at === 0) made.scope = tag === "th" ? "col" : "row";
      row.append(made);
    });
    return row;
  };
  const [headPart, body] = [document.createElement("thead"), document.createElement("tbody")];
  headPart.append(line(head, "th"));
  body.append(...rows.map((row) => line(row, "td")));
  made.append(headPart, body);
  const box = document.createElement("div");
  box.className = "wide";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  box.append(made);
  return box;
}

function list(items) {
  const made = document.createElement("ul");
  made.append(...items.map((item) => say("li", item)));
  return made;
}

function showVerdict(kind, title, text) {
  const box = document.createElement("div");
  box.className = `verdict ${kind}`;
  box.append(say("h2", title), say("p", text));
  element("result").replaceChildren(box);
  element("result").dataset.outcome = kind;
  box.tabIndex = -1;
  box.focus();
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function findingRows(findings) {
  return findings.map((one) => [one.index === null ? one.log : `${one.log}[${one.index}]`, one.check, one.expected, one.got]);
}

function showBundle(report) {
  const total = report.logs.reduce((sum, log) => sum + log.stop - log.start, 0);
  const where = count(report.logs.length, "log");
  const found = report.findings.length + report.more;
  if (report.passed) showVerdict("passed", "Verified", `Nothing was found in ${count(total, "entry", "entries")} of ${where}.`);
  else if (report.whole) showVerdict("failed", "Verification failed", `${count(found, "finding")} in ${count(total, "entry", "entries")} of ${where}.`);
  else showVerdict("failed", "Verification failed", "A file was altered so that the rest cannot be read.");
  const parts = [];
  if (report.findings.length) parts.push(table("Findings", ["place", "check", "expected", "got"], findingRows(report.findings)));
  if (report.more) parts.push(say("p", `and ${report.more} more`));
  if (report.warnings.length) {
    parts.push(table("Warnings: a clock that was wrong or set, an effect whose outcome nobody knows; they prove no tampering", ["place", "check", "expected", "got"], findingRows(report.warnings)));
  }
  if (report.logs.length) parts.push(table("Logs", ["log", "entries shown", "size", "signed up to", "cosigned up to", "erased", "without payload"], report.logs.map((log) => [
    log.log, log.start === 0 && log.stop === log.size ? `all ${log.size}` : `${log.start} to ${log.stop - 1}`, log.size,
    log.signedSize, log.witnesses.length ? `${log.cosignedSize} (${log.witnesses.join(", ")})` : "no witness given", log.erased, log.withheld,
  ])));
  const rolled = report.logs.flatMap((log) => log.handovers.map((text) => [log.log, text]));
  if (rolled.length) parts.push(table("The log's key was rolled over", ["log", "from and to"], rolled));
  if (report.logs.length) parts.push(table("Roots: compare them with what others were shown", ["log", "size", "root"], report.logs.map((log) => [log.log, log.size, log.root])));
  const by = report.manifest.exported;
  parts.push(table("What the bundle says of itself", ["field", "value"], [
    ["format", report.manifest.format], ["exported by", by ? `${by.by}, for ${by.purpose}, ${by.time}${isShown(report, by.entry) ? "" : " (its entry is not shown)"}` : "not said"],
    ["policy", report.manifest.policy ?? "not said"], ["keys", report.manifest.keys.join(" ")],
  ]));
  parts.push(...meaning(report));
  element("result").append(...parts);
}

const isShown = (report, entry) => report.logs.some((log) => log.log !== SYSTEM_LOG && log.start <= entry && entry < log.stop);

function meaning(report) {
  const shown = [
    "Each entry is the leaf that the signed root was made of, in this order, and none is missing from what is shown.",
    "Each payload is the one that its entry committed to; each that is gone was erased by an entry that says so.",
    "Each checkpoint is signed by a key that you gave or one that took over from it, and its root is that of the entries.",
  ];
  const open = [
    "That something happened which made no entry, or that an entry tells the truth.",
    "Entries after the last signed checkpoint, and a cut behind a newer checkpoint that you do not have: give those that you kept.",
    "That others were shown the same history: witnesses' cosignatures, or comparing roots, show that.",
  ];
  const unproven = report.logs.reduce((sum, log) => sum + log.unproven + log.unchecked, 0);
  if (unproven) open.push(`${count(unproven, "claim")} whose proof lies in what was left out or erased.`);
  const earlier = report.logs.reduce((sum, log) => sum + log.earlier, 0);
  if (earlier) open.push(`That ${count(earlier, "checkpoint")} by a key before yours were signed in their time: a thief of that key can sign them, too. Your key vouches for their entries by its own checkpoints.`);
  const parts = report.passed ? [say("h3", "What this shows"), list(shown)] : [];
  return [...parts, say("h3", "What this does not show"), list(open)];
}

function showProof(report) {
  const { header, checkpoint } = report;
  const by = report.witnesses.length ? `cosigned by ${report.witnesses.join(", ")}` : "no cosignature by a witness that you gave";
  showVerdict("passed", "Verified", `Entry ${report.index} stands in the tree of ${checkpoint.size} entries that ${checkpoint.origin} signed; ${by}.`);
  const rows = Object.entries({ ...header, time: header.when }).filter(([name]) => name !== "when").map(([name, value]) => [name, value ?? "none"]);
  const parts = [table("Entry", ["field", "value"], rows)];
  if (report.payload) parts.push(say("h3", "Payload"), say("pre", JSON.stringify(report.payload, null, 2)));
  parts.push(say("h3", "What this does not show"), list([
    "That the entry tells the truth, and that the log holds no others about the same thing.",
    "That others were shown the same log, where no witness that you trust cosigned.",
  ]));
  element("result").append(...parts);
}

function showProgress(done, total) {
  element("progress").value = total ? done / total : 0;
  element("progress-text").textContent = `${done.toLocaleString("en")} of ${count(total, "entry", "entries")}`;
}

async function isProof(file) {
  const start = new TextDecoder().decode(await readBytes(file, 0, PROOF_FIRST_LINE.length));
  return start === PROOF_FIRST_LINE || file.name.endsWith(".tlog-proof");
}

async function verifyChosen() {
  const required = Number(element("required").value || 0);
  const trust = await Trust.parse(element("keys").value, element("witnesses").value, required, Number(element("may-lag").value || 0));
  const remembered = await Promise.all([...element("remembered").files].map((file) => readBytes(file, 0, file.size)));
  if (await isProof(chosen.file)) {
    need(chosen.file.size <= MAX_PROOF_SIZE, "expected a smaller proof");
    const entry = element("entry").files[0];
    const leaf = entry ? await readBytes(entry, 0, Math.min(entry.size, 65536)) : null;
    const report = await verifyProof(await readBytes(chosen.file, 0, chosen.file.size), trust, leaf);
    showProof(report);
    return;
  }
  element("working").hidden = false;
  const report = await verifyBundle(chosen.file, trust, { remembered, now: Date.now() * 1000, onProgress: showProgress });
  showBundle(report);
}

function showError(error) {
  if (error instanceof Failed) {
    showVerdict("failed", "Verification failed", "The proof does not hold.");
    element("result").append(table("Findings", ["place", "check", "expected", "got"], [["proof", error.check, error.expected, error.got]]));
    return;
  }
  const reason = error instanceof Malformed ? error.message : "the file could not be read";
  showVerdict("unreadable", "Could not check", `${reason[0].toUpperCase()}${reason.slice(1)}. This is neither a pass nor a failure.`);
}

async function run() {
  if (!chosen.file) {
    showVerdict("unreadable", "No file", "Choose a bundle or a proof first.");
    return;
  }
  element("verify").disabled = true;
  element("result").replaceChildren();
  delete element("result").dataset.outcome;
  showProgress(0, 0);
  try {
    await verifyChosen();
  } catch (error) {
    showError(error);
  } finally {
    element("working").hidden = true;
    element("verify").disabled = false;
  }
  document.documentElement.dataset.done = String(Number(document.documentElement.dataset.done ?? 0) + 1);
}

const sizeOf = ({ size }) => (size < 2 ** 20 ? `${Math.ceil(size / 1024)} KiB` : `${(size / 2 ** 20).toFixed(1)} MiB`);

function take(file) {
  chosen.file = file ?? null;
  element("chosen").textContent = file ? `To be verified: ${file.name}, ${sizeOf(file)}` : "No file chosen.";
}

async function begin() {
  const reason = await missingAbility();
  if (reason) {
    element("form").hidden = true;
    showVerdict("unreadable", "This browser cannot check", reason);
    return;
  }
  element("file").addEventListener("change", () => take(element("file").files[0]));
  element("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      element("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
  document.documentElement.dataset.ready = "yes";
}

begin();

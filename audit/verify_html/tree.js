// Trees: growing from leaves tile by tile, and from tiles alone where a range is shown.
// The same rules as audit/growing_tree.py, audit/range_tree.py and audit/merkle.py.

const EMPTY_ROOT = () => sha256(new Uint8Array(0));

/** Return the root over a power of two of hashes. */
async function perfectRoot(hashes) {
  let row = hashes;
  while (row.length > 1) {
    const pairs = [];
    for (let at = 0; at < row.length; at += 2) pairs.push(nodeHash(row[at], row[at + 1]));
    row = await Promise.all(pairs);
  }
  return row[0];
}

/** Return the edge of a tree with leaves appended. */
async function extended({ size, nodes }, leaves) {
  const edge = [...nodes];
  let at = size;
  for (const leaf of leaves) {
    let node = leaf;
    for (let carry = at; carry & 1; carry >>>= 1) node = await nodeHash(edge.pop(), node);
    edge.push(node);
    at += 1;
  }
  return { size: at, nodes: edge };
}

async function foldEdge(nodes) {
  if (!nodes.length) return EMPTY_ROOT();
  let root = nodes[nodes.length - 1];
  for (let at = nodes.length - 2; at >= 0; at -= 1) root = await nodeHash(nodes[at], root);
  return root;
}

function splitHashes(bytes) {
  const hashes = [];
  for (let at = 0; at < bytes.length; at += HASH_SIZE) hashes.push(bytes.subarray(at, at + HASH_SIZE));
  return hashes;
}

class GrowingTree {
  constructor(onTile) {
    this.onTile = onTile;
    this.levels = [[]];
    this.full = [0];
    this.tileEdge = [];
    this.tiles = 0;
  }

  get size() {
    return this.full[0] * TILE_WIDTH + this.levels[0].length;
  }

  /** Append leaves: a whole tile at the most, and never over a tile's end. */
  async add(leaves) {
    this.levels[0].push(...leaves);
    for (let level = 0; this.levels[level].length === TILE_WIDTH; level += 1) {
      const hashes = this.levels[level];
      this.levels[level] = [];
      await this.onTile(level, this.full[level], hashes);
      this.full[level] += 1;
      const root = await perfectRoot(hashes);
      if (level === 0) await this.pushTile(root);
      if (level + 1 === this.levels.length) {
        this.levels.push([]);
        this.full.push(0);
      }
      this.levels[level + 1].push(root);
    }
  }

  async pushTile(root) {
    let node = root;
    for (let carry = this.tiles; carry & 1; carry >>>= 1) node = await nodeHash(this.tileEdge.pop(), node);
    this.tileEdge.push(node);
    this.tiles += 1;
  }

  async root() {
    return foldEdge([...this.tileEdge, ...(await extended({ size: 0, nodes: [] }, this.levels[0])).nodes]);
  }

  *partialTiles() {
    for (const [level, hashes] of this.levels.entries()) if (hashes.length) yield [level, this.full[level], hashes];
  }
}

class RangeTree {
  constructor(size, read) {
    this.size = size;
    this.read = read;
    this.kept = new Map();
  }

  hashesAt(level) {
    return Math.floor(this.size / TILE_WIDTH ** level);
  }

  async tile(level, index) {
    const name = `${level}/${index}`;
    if (!this.kept.has(name)) {
      if (this.kept.size > 64) this.kept.delete(this.kept.keys().next().value);
      const width = Math.min(TILE_WIDTH, this.hashesAt(level) - index * TILE_WIDTH);
      const content = await this.read(level, index, width);
      this.kept.set(name, content?.length === width * HASH_SIZE ? splitHashes(content) : null);
    }
    return this.kept.get(name);
  }

  async node(height, position) {
    const [level, inner] = [Math.floor(height / 8), 2 ** (height % 8)];
    const first = position * inner;
    const hashes = await this.tile(level, Math.floor(first / TILE_WIDTH));
    const at = first % TILE_WIDTH;
    return hashes && perfectRoot(hashes.slice(at, at + inner));
  }

  async root(size) {
    const nodes = [];
    let start = 0;
    for (let height = 52; height >= 0; height -= 1) {
      const width = 2 ** height;
      if (Math.floor(size / width) % 2) {
        const node = await this.node(height, start / width);
        if (!node) return null;
        nodes.push(node);
        start += width;
      }
    }
    return foldEdge(nodes);
  }

  async fits(level, index) {
    const hashes = await this.tile(level, index);
    if (!hashes) return false;
    if (hashes.length < TILE_WIDTH) return true;
    const above = await this.node(8 * (level + 1), index);
    return above !== null && equal(above, await perfectRoot(hashes));
  }

  async *upperFaults() {
    for (let level = 1; this.hashesAt(level); level += 1) {
      for (let index = 0; index < Math.ceil(this.hashesAt(level) / TILE_WIDTH); index += 1) {
        if (!(await this.fits(level, index))) yield [level, index];
      }
    }
  }
}

/** Check an inclusion proof (RFC 9162, section 2.1.3.2). Indexes may be of 63 bits. */
async function verifyInclusion(index, size, leaf, proof, root) {
  if (!(index < size)) throw new Failed("leaf index", `within [0, ${size})`, String(index));
  let [fn, sn, node] = [BigInt(index), BigInt(size) - 1n, leaf];
  for (const sibling of proof) {
    if (sn === 0n) throw new Failed("inclusion proof", "the path's length", "too many hashes");
    if (fn & 1n || fn === sn) {
      node = await nodeHash(sibling, node);
      while (fn && !(fn & 1n)) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      node = await nodeHash(node, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn !== 0n) throw new Failed("inclusion proof", "the path's length", "too few hashes");
  if (!equal(node, root)) throw new Failed("inclusion proof's root", hex(root), hex(node));
}

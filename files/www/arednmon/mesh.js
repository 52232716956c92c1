// The mesh as a graph, made of topology_json: nodes by name, links that join both directions, ways from this node, and a
// drawing for those who have no position. No names of nodes as keys of plain objects: a node may be called __proto__.
import { list, words, number, date } from './parts.js';

export function graph(topology) {
  const nodes = new Map(), links = new Map();
  for (const n of list(topology?.nodes)) {
    const name = words(n?.name);
    if (!name || nodes.has(name)) continue;
    const lat = number(n.lat), lon = number(n.lon);
    const placed = lat !== null && lon !== null && Math.abs(lat) <= 85 && Math.abs(lon) <= 180 && (lat || lon);
    nodes.set(name, {
      name, kind: n.type === 'phone' ? 'phone' : 'router', lat: placed ? lat : null, lon: placed ? lon : null,
      inactive: n.status === 'INACTIVE' || n.status === 'OFFLINE', seen: date(n.last_seen), ip: words(n.ip), model: words(n.model),
      firmware: words(n.firmware), at: words(n.router), supernode: n.supernode === true, links: [], phones: [], router: null, before: null, hops: null,
    });
  }
  const source = nodes.get(words(topology?.source_node?.name)) || nodes.get(words(topology?.source_node?.name).toLowerCase()) || null;
  if (source) source.kind = 'server';
  for (const c of list(topology?.connections)) {
    const a = nodes.get(words(c?.source)), b = nodes.get(words(c?.target));
    if (!a || !b || a === b) continue;
    const key = a.name < b.name ? a.name + '\n' + b.name : b.name + '\n' + a.name;
    let link = links.get(key);
    if (!link) {
      links.set(key, link = { a, b, rtts: [], min: null, max: null, via: '', quality: null });
      a.links.push(link);
      b.links.push(link);
    }
    const rtt = number(c.sample_count) === 0 ? null : number(c.rtt_avg_ms);
    if (rtt !== null) link.rtts.push(rtt);
    for (const [mine, theirs, pick] of [['min', c.rtt_min_ms, Math.min], ['max', c.rtt_max_ms, Math.max]]) {
      if (rtt !== null && number(theirs) !== null) link[mine] = link[mine] === null ? number(theirs) : pick(link[mine], number(theirs));
    }
    link.via ||= words(c.link_type);
    link.quality = number(c.quality) ?? link.quality;
  }
  for (const link of links.values()) link.rtt = link.rtts.length ? link.rtts.reduce((x, y) => x + y) / link.rtts.length : null;
  for (const node of nodes.values()) {
    if (node.kind !== 'phone') continue;
    const next = node.links[0];
    node.router = nodes.get(node.at) || (next ? other(next, node) : null);
    if (node.router?.kind === 'phone') node.router = null;
    if (node.router) node.router.phones.push(node);
  }
  const between = [...links.values()].filter((link) => link.a.kind !== 'phone' && link.b.kind !== 'phone');
  ways(nodes, source);
  return { nodes, links: between, source };
}

export const other = (link, node) => (link.a === node ? link.b : link.a);

// Dijkstra by round trip; a link that nobody measured counts as 20 ms, and each hop as one more.
function ways(nodes, source) {
  if (!source) return;
  const cost = new Map([[source, 0]]), open = new Set([source]), done = new Set();
  source.hops = 0;
  while (open.size) {
    let best = null;
    for (const node of open) if (!best || cost.get(node) < cost.get(best)) best = node;
    open.delete(best);
    done.add(best);
    for (const link of best.links) {
      const next = other(link, best), through = cost.get(best) + (link.rtt ?? 20) + 1;
      if (next.kind === 'phone' || done.has(next) || through >= (cost.get(next) ?? Infinity)) continue;
      cost.set(next, through);
      next.before = best;
      next.hops = best.hops + 1;
      open.add(next);
    }
  }
}

// The nodes from this one to `node`, both included; the router's way for a phone. Empty if none is known.
export function route(node) {
  const nodes = [];
  let at = node;
  if (node.kind === 'phone') { nodes.push(node); at = node.router; }
  if (!at || at.hops === null) return [];
  for (; at; at = at.before) nodes.unshift(at);
  return nodes;
}

// Rings around this node: each branch gets the share of the circle that its leaves need. Sets node.x and node.y; nodes that
// no link leads to stand in rows below. Equal data make an equal drawing.
export function arrange({ nodes, source }) {
  const routers = [...nodes.values()].filter((n) => n.kind !== 'phone'), below = new Map(), rings = [];
  for (const n of routers) {
    if (n.hops === null) continue;
    if (n.before) below.set(n.before, [...(below.get(n.before) || []), n]);
    rings[n.hops] = (rings[n.hops] || 0) + 1;
  }
  const leaves = new Map();
  const deep = routers.filter((n) => n.hops !== null).sort((a, b) => b.hops - a.hops);
  for (const n of deep) leaves.set(n, Math.max(1, (below.get(n) || []).reduce((sum, child) => sum + leaves.get(child), 0)));
  const radius = [];
  rings.forEach((count, depth) => { radius[depth] = depth ? Math.max(radius[depth - 1] + 110, count * 30 / (2 * Math.PI)) : 0; });
  if (source) {
    const open = [[source, 0, 2 * Math.PI]];
    while (open.length) {
      const [n, from, to] = open.pop(), middle = (from + to) / 2;
      [n.x, n.y] = [radius[n.hops] * Math.cos(middle), radius[n.hops] * Math.sin(middle)];
      const children = (below.get(n) || []).sort((a, b) => leaves.get(b) - leaves.get(a) || (a.name < b.name ? -1 : 1));
      // The largest branches alternate with small ones, so that no side gets them all.
      const mixed = [];
      while (children.length) { mixed.push(children.shift()); if (children.length) mixed.push(children.pop()); }
      let start = from;
      for (const child of mixed) {
        const share = (to - from) * leaves.get(child) / leaves.get(n);
        open.push([child, start, start + share]);
        start += share;
      }
    }
  }
  const alone = [...routers.filter((n) => n.hops === null), ...[...nodes.values()].filter((n) => n.kind === 'phone' && !n.router)];
  const wide = Math.max(4, Math.ceil(Math.sqrt(alone.length * 3))), bottom = source ? Math.max(...deep.map((n) => n.y)) + 160 : 0;
  alone.forEach((n, i) => { [n.x, n.y] = [(i % wide - (wide - 1) / 2) * 240, bottom + Math.floor(i / wide) * 60]; });
  return alone.length;
}

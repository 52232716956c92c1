// The mesh, drawn: on a map where nodes have positions, and as a schematic where they have none. Both are Leaflet with one
// canvas of our own; the map has the land's outline in it and asks for tiles only where a tile server is configured.
import './leaflet.js';
import { $, el, svg, set, join, words, ms, ago, quality, keepFocus } from './parts.js';
import { buttons, place, trace } from './live.js';
import { graph, other, route, arrange } from './mesh.js';

const L = globalThis.L, coarse = matchMedia('(pointer: coarse)');
const MEDIA = new Map(Object.entries({ RF: 'radio', RRF: 'radio of the site', DTD: 'cable', XLINK: 'cross link', TUN: 'tunnel', WIREGUARD: 'tunnel', LAN: 'LAN', PATH: 'seen in traces' }));
const DASH = { good: [], fair: [9, 5], poor: [2, 5], '': [] };
let desk, mesh = graph(null), views = {}, turned = 'map', picked = '', onWay = new Set(), traced = null, world = null, edges = [0, 0], colours = {};

// ---- Land: lines of zigzag numbers of base 32, coast rings first, then borders; steps of 1/40 degree.

function unpack(text) {
  const unit = (line) => {
    const points = [];
    let at = 0, x = 0, y = 0;
    const take = () => {
      let value = 0, weight = 1, digit;
      do {
        digit = line[at++] === '&' ? 52 : line.charCodeAt(at - 1) - 40;
        value += (digit % 32) * weight;
        weight *= 32;
      } while (digit >= 32);
      return value % 2 ? -(value + 1) / 2 : value / 2;
    };
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    while (at < line.length) {
      x += take();
      y += take();
      // Web Mercator with the world from 0 to 1.
      const u = x / 40 / 360 + .5, s = Math.sin(Math.max(-85, Math.min(85, y / 40)) * Math.PI / 180), v = .5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
      points.push(u, v);
      [left, right, top, bottom] = [Math.min(left, u), Math.max(right, u), Math.min(top, v), Math.max(bottom, v)];
    }
    return { points, left, right, top, bottom };
  };
  const [coast, borders] = text.trim().split('\n\n').map((part) => part.split('\n').map(unit));
  return { coast, borders: borders || [] };
}

// ---- The canvas

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['ink', 'soft', 'card', 'line', 'accent', 'good', 'warn', 'bad', 'land', 'shore', 'unknown', 'paper']) colours[name] = style.getPropertyValue('--' + name).trim();
  Object.assign(colours, { fair: colours.warn, poor: colours.bad, '': colours.unknown });
}

const Painter = L.Renderer.extend({
  initialize(view) { L.Renderer.prototype.initialize.call(this, { padding: .25 }); this.view = view; },
  _initContainer() { this._container = document.createElement('canvas'); this.pen = this._container.getContext('2d'); },
  _destroyContainer() { this._container.remove(); },
  _updatePaths() {},
  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const { min } = this._bounds, size = this._bounds.getSize(), sharp = Math.min(2, devicePixelRatio || 1), canvas = this._container;
    L.DomUtil.setPosition(canvas, min);
    [canvas.width, canvas.height] = [size.x * sharp, size.y * sharp];
    [canvas.style.width, canvas.style.height] = [size.x + 'px', size.y + 'px'];
    this.pen.setTransform(sharp, 0, 0, sharp, -min.x * sharp, -min.y * sharp);
    this.paint();
  },
  paint() { paint(this.pen, this.view, this._map, this._bounds); },
  again() {
    if (!this._map || this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      const { min } = this._bounds, size = this._bounds.getSize();
      this.pen.clearRect(min.x, min.y, size.x, size.y);
      this.paint();
    });
  },
});

function paintLand(pen, map, bounds, filled) {
  const scale = 256 * 2 ** map.getZoom(), origin = map.getPixelOrigin();
  const [left, right, top, bottom] = [(bounds.min.x + origin.x) / scale, (bounds.max.x + origin.x) / scale, (bounds.min.y + origin.y) / scale, (bounds.max.y + origin.y) / scale];
  const trace = (units, closed) => {
    pen.beginPath();
    for (const { points, ...box } of units) {
      if (box.right < left || box.left > right || box.bottom < top || box.top > bottom) continue;
      for (let i = 0; i < points.length; i += 2) {
        const x = points[i] * scale - origin.x, y = points[i + 1] * scale - origin.y;
        if (i) pen.lineTo(x, y); else pen.moveTo(x, y);
      }
      if (closed) pen.closePath();
    }
  };
  pen.lineWidth = 1;
  pen.strokeStyle = colours.shore;
  trace(world.coast, true);
  if (filled) { pen.fillStyle = colours.land; pen.fill('evenodd'); }
  pen.stroke();
  pen.setLineDash([5, 4]);
  trace(world.borders, false);
  pen.stroke();
  pen.setLineDash([]);
}

// Where nothing was written yet. What must be written is, over others, and nothing else will be there.
function places(bounds) {
  const taken = new Set();
  return (x, y, w, h, must) => {
    const cells = [];
    for (let i = Math.floor(x / 8); i <= (x + w) / 8; i++) for (let j = Math.floor(y / 8); j <= (y + h) / 8; j++) cells.push(i * 65536 + j);
    if (!must && (x < bounds.min.x || x + w > bounds.max.x || cells.some((cell) => taken.has(cell)))) return false;
    for (const cell of cells) taken.add(cell);
    return [x, y];
  };
}

function shape(pen, node, x, y, r) {
  pen.beginPath();
  if (node.kind === 'phone') pen.rect(x - r, y - r, 2 * r, 2 * r);
  else if (node.supernode) { pen.moveTo(x, y - r - 2); pen.lineTo(x + r + 2, y); pen.lineTo(x, y + r + 2); pen.lineTo(x - r - 2, y); pen.closePath(); }
  else pen.arc(x, y, r, 0, 7);
}

// Shows of a name what fits.
const short = (name) => (name.length > 28 ? name.slice(0, 27) + '…' : name);

function paint(pen, view, map, bounds) {
  if (view.land && world) paintLand(pen, map, bounds, !view.tiles);
  const inside = (p, more) => p.x > bounds.min.x - more && p.x < bounds.max.x + more && p.y > bounds.min.y - more && p.y < bounds.max.y + more;
  const zoom = map.getZoom(), near = zoom >= view.near;
  // Many nodes on a small screen: smaller, or they hide the links.
  const { x: wide, y: high } = map.getSize(), big = near ? 1 : Math.max(.5, Math.min(.75, Math.sqrt(wide * high / mesh.nodes.size / 900)));
  view.marks = [];
  for (const node of mesh.nodes.values()) {
    node.p = null;
    const at = (node.kind !== 'phone' || !node.router) && view.place(node);
    if (at) node.p = map.latLngToLayerPoint(at);
  }
  // Phones stand around their router, once there is room.
  for (const node of mesh.nodes.values()) {
    if (!node.p || !node.phones.length || !(near || node.name === picked || node.phones.some((phone) => phone.name === picked))) continue;
    node.phones.forEach((phone, i) => {
      const round = Math.floor(i / 12), count = Math.min(12, node.phones.length - round * 12), angle = (i % 12) / count * 2 * Math.PI - Math.PI / 2;
      phone.p = L.point(node.p.x + Math.cos(angle) * (19 + round * 12), node.p.y + Math.sin(angle) * (19 + round * 12));
    });
  }

  const free = places(bounds), dim = onWay.size > 0, corner = map.containerPointToLayerPoint([0, 0]).x;
  edges = [corner, corner + map.getSize().x];
  const drawn = [];
  for (const link of mesh.links) {
    const { a, b } = link;
    if (!a.p || !b.p || !(inside(a.p, 0) || inside(b.p, 0) || bounds.intersects(L.bounds(a.p, b.p)))) continue;
    const grade = quality(link.rtt), way = onWay.has(link);
    if (way) { pen.strokeStyle = colours.accent; pen.lineWidth = 8; pen.globalAlpha = .35; line(pen, a.p, b.p); }
    pen.strokeStyle = a.inactive || b.inactive ? colours.unknown : colours[grade];
    pen.lineWidth = way ? 3 : grade ? (near ? 2.2 : 1.5) : 1;
    pen.globalAlpha = dim && !way ? .22 : !view.land && a.before !== b && b.before !== a ? .2 : a.inactive || b.inactive ? .45 : .85;
    pen.setLineDash(DASH[grade]);
    line(pen, a.p, b.p);
    pen.setLineDash([]);
    drawn.push([link, way, grade]);
  }
  pen.globalAlpha = 1;
  // Hops of a live trace between which no link is known.
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 3;
  pen.setLineDash([3, 6]);
  for (const [a, b] of traced?.gaps || []) if (a.p && b.p) line(pen, a.p, b.p);
  pen.setLineDash([]);

  const nodes = [...mesh.nodes.values()].filter((n) => n.p && inside(n.p, 30));
  const weight = (n) => (n.name === picked ? 9 : onWay.has(n) ? 8 : n.kind === 'server' ? 7 : n.kind === 'phone' ? -1 : n.supernode ? 6 : Math.min(5, n.links.length / 5));
  nodes.sort((x, y) => weight(x) - weight(y));
  for (const n of nodes) {
    const r = (n.kind === 'server' ? 8 : n.kind === 'phone' ? 3.5 : 5.5) * big, { x, y } = n.p;
    if (n.kind === 'phone' && n.router?.p) { pen.strokeStyle = colours.shore; pen.lineWidth = 1; line(pen, n.p, n.router.p); }
    pen.globalAlpha = dim && !onWay.has(n) && n.name !== picked ? .45 : 1;
    shape(pen, n, x, y, r);
    pen.fillStyle = n.inactive ? colours.card : n.kind === 'server' ? colours.accent : n.kind === 'phone' ? colours.good : colours.ink;
    pen.fill();
    pen.lineWidth = n.inactive ? 1.5 : 1.2;
    pen.strokeStyle = n.inactive ? colours.unknown : colours.card;
    pen.setLineDash(n.inactive ? [2, 2] : []);
    pen.stroke();
    pen.setLineDash([]);
    if (n.kind === 'server' || n.name === picked) {
      pen.beginPath();
      pen.arc(x, y, r + 4, 0, 7);
      pen.strokeStyle = n.name === picked ? colours.ink : colours.accent;
      pen.lineWidth = 2;
      pen.stroke();
    }
    pen.globalAlpha = 1;
    free(x - r, y - r, 2 * r, 2 * r);
    view.marks.push(n);
  }
  for (const n of nodes.reverse()) {
    const important = n.name === picked || onWay.has(n) || n.kind === 'server';
    if (!important && (n.kind === 'phone' ? zoom < view.near + 2 : dim && !near)) continue;
    const phones = !near && n.phones.length ? ' ▪' + n.phones.length : '';
    // The other names of the way are in the list beside it.
    label(pen, free, n.p, n.name === picked || n.kind === 'server' ? 'surely' : important, short(n.name) + (n.inactive ? ' (inactive)' : '') + phones, important ? 600 : 400, n.inactive ? colours.soft : colours.ink);
  }
  for (const [link, way, grade] of drawn.sort((x, y) => y[1] - x[1])) {
    const { a, b } = link, long = Math.hypot(a.p.x - b.p.x, a.p.y - b.p.y);
    if (link.rtt === null || long < (way ? 45 : 80) || (!way && (dim || (!view.land && a.before !== b && b.before !== a)))) continue;
    label(pen, free, a.p.add(b.p).divideBy(2), way, ms(link.rtt) + ' ms', way ? 600 : 400, colours[grade], colours[grade]);
  }
}

function line(pen, a, b) {
  pen.beginPath();
  pen.moveTo(a.x, a.y);
  pen.lineTo(b.x, b.y);
  pen.stroke();
}

// Beside a point, or in the middle of a link, where there is room.
function label(pen, free, at, important, text, weight, ink, frame) {
  pen.font = weight + ' 11px system-ui, sans-serif';
  const width = pen.measureText(text).width + 6, middle = at.x - width / 2;
  const spots = frame ? [[middle, at.y - 7]] : [[at.x + 9, at.y - 7], [at.x - 9 - width, at.y - 7], [middle, at.y - 24], [middle, at.y + 10]];
  // What is seen now is not to be cut off at the edge; what is beyond it may be seen while the map is moved.
  const whole = ([x]) => at.x < edges[0] || at.x > edges[1] || (x >= edges[0] && x + width <= edges[1]);
  const spot = spots.find((s) => whole(s) && free(s[0], s[1], width, 14)) || (important === 'surely' && free(...(spots.find(whole) || spots[0]), width, 14, true));
  if (!spot) return;
  const [left, y] = spot;
  pen.globalAlpha = frame ? .92 : .75;
  pen.fillStyle = colours.card;
  pen.beginPath();
  pen.roundRect(left, y, width, 14, 3);
  pen.fill();
  pen.globalAlpha = 1;
  if (frame) { pen.strokeStyle = frame; pen.lineWidth = 1; pen.stroke(); }
  pen.fillStyle = ink;
  pen.fillText(text, left + 3, y + 10.5);
}

// ---- The two views

function view(id, options, more) {
  const map = L.map(id, { attributionControl: false, zoomControl: true, zoomSnap: .25, wheelPxPerZoomLevel: 90, fadeAnimation: false, ...options });
  const made = { map, marks: [], ...more }, hint = L.tooltip({ direction: 'top', offset: [0, -10], opacity: 1 });
  made.painter = new Painter(made);
  const nearest = (event) => {
    let best = null, least = coarse.matches ? 24 : 14;
    for (const n of made.marks) {
      const far = n.p ? n.p.distanceTo(event.layerPoint) : Infinity;
      if (far < least) [best, least] = [n, far];
    }
    return best;
  };
  map.on('mousemove', (event) => {
    const n = nearest(event);
    map.getContainer().style.cursor = n ? 'pointer' : '';
    if (!n) return hint.remove();
    hint.setLatLng(map.layerPointToLatLng(n.p)).setContent(el('span', join(' · ', n.name, desk.names().get(n.name), kindOf(n)))).addTo(map);
  });
  // Whoever has moved it himself sees what he wants to see.
  for (const by of ['pointerdown', 'wheel', 'keydown']) map.getContainer().addEventListener(by, () => { made.touched = true; }, { passive: true });
  map.on('resize', () => { if (made.fitted && !made.touched) fit(made); else made.painter.again(); });
  map.on('mouseout', () => hint.remove());
  map.on('click', (event) => { const n = nearest(event); if (n || picked) pick(n ? n.name : ''); });
  return made;
}

const kindOf = (n) => join(', ', n.kind === 'server' ? 'this node' : n.kind === 'phone' ? 'phone' : n.supernode ? 'supernode' : 'router', n.inactive && 'inactive');

// Bounds of what is drawn, without those few that are far away from all others: a wrong position must not hide the mesh.
function extent(made) {
  const points = [...mesh.nodes.values()].filter((n) => n.kind !== 'phone' || !n.router).map(made.place).filter(Boolean);
  if (!points.length) return null;
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const centre = [middle(points.map((p) => p[0])), middle(points.map((p) => p[1]))];
  const far = (p) => Math.max(Math.abs(p[0] - centre[0]), Math.abs(p[1] - centre[1]));
  const usual = middle(points.map(far)) * 8 + .5;
  return L.latLngBounds(made.land ? points.filter((p) => far(p) <= usual) : points);
}

function fit(made) {
  const bounds = extent(made), wide = made.map.getSize().x;
  if (bounds) made.map.fitBounds(bounds, { paddingTopLeft: [Math.min(40, wide / 20), 30], paddingBottomRight: [Math.min(130, wide / 10), 30], maxZoom: made.land ? 14 : 1, animate: false });
  else made.map.setView(made.land ? [47, 8] : [0, 0], made.land ? 4 : 0, { animate: false });
  made.fitted = bounds ? bounds.toBBoxString() : '';
}

export async function start(given) {
  desk = given;
  readColours();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); redraw(); });
  legend();
  const settings = await desk.settings;
  const tiles = words(settings?.tiles), url = /^https?:\/\/[^/?#]+\//.test(tiles) && /\{z\}/.test(tiles) && /\{x\}/.test(tiles) && /\{y\}/.test(tiles) ? new URL(tiles.replace(/[{}]/g, '')) : null;
  // From here on, images come from this node and from the configured tile server only.
  const policy = el('meta');
  policy.httpEquiv = 'Content-Security-Policy';
  policy.content = "img-src 'self' data:" + (url ? ' ' + url.origin : '');
  document.head.append(policy);
  views.map = view('map', { minZoom: 2, maxZoom: 18, worldCopyJump: false, maxBounds: [[-86, -200], [86, 200]] },
    { land: true, tiles: Boolean(url), near: 11, place: (n) => (n.lat === null ? null : [n.lat, n.lon]) });
  views.plan = view('plan', { crs: L.CRS.Simple, minZoom: -4, maxZoom: 3 }, { land: false, near: .5, place: (n) => (n.x === undefined ? null : [-n.y, n.x]) });
  const map = views.map.map;
  if (url) L.tileLayer(tiles, { maxZoom: 18 }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  const credit = L.control.attribution({ prefix: false }).addTo(map);
  credit.getContainer().textContent = join(' · ', words(settings?.attribution), 'Leaflet', 'outline: Natural Earth');
  try { world = unpack(await (await fetch('land.txt')).text()); } catch { /* The map works without. */ }
  $('fit').onclick = () => { views[turned].touched = false; fit(views[turned]); };
  const find = () => {
    const wanted = $('node-name').value.trim().toLowerCase();
    const hit = wanted && (mesh.nodes.get($('node-name').value.trim()) || [...mesh.nodes.values()].find((n) => n.name.toLowerCase().startsWith(wanted)));
    if (hit) pick(hit.name, true);
  };
  $('node-name').onchange = $('find').onsubmit = (event) => { event.preventDefault(); find(); };
}

export function show(topology) {
  const text = JSON.stringify(topology?.nodes) + JSON.stringify(topology?.connections);
  if (mesh.text === text) return;
  mesh = graph(topology);
  mesh.text = text;
  mesh.alone = arrange(mesh);
  const names = [...mesh.nodes.values()].sort((a, b) => (a.kind === 'phone') - (b.kind === 'phone') || (a.name < b.name ? -1 : 1));
  $('node-names').replaceChildren(...names.map((n) => { const option = el('option', desk.names().get(n.name)); option.value = n.name; return option; }));
  if (picked && !mesh.nodes.has(picked)) picked = '';
  highlight();
  turn(turned);
  showChosen(false);
}

export function turn(tab) {
  turned = tab === 'plan' ? 'plan' : 'map';
  const made = views[turned];
  $('map').hidden = turned !== 'map';
  $('plan').hidden = turned !== 'plan';
  $('map-title').textContent = turned === 'map' ? 'Map' : 'Schematic';
  const routers = [...mesh.nodes.values()].filter((n) => n.kind !== 'phone'), placed = routers.filter((n) => n.lat !== null).length;
  const empty = turned === 'map' ? !placed : !mesh.nodes.size;
  $('map-empty').hidden = !empty;
  if (empty) {
    const other = el('button', 'Show the schematic');
    other.onclick = () => desk.choose('plan');
    $('map-empty').replaceChildren(el('strong', mesh.nodes.size ? 'No node has said where it is.' : 'Nothing is known of the mesh yet.'), ...(mesh.nodes.size ? [other] : []));
  }
  set($('map-note'), !mesh.nodes.size ? '' : turned === 'map' ? join(', ', placed + (placed === 1 ? ' node' : ' nodes'), routers.length > placed && routers.length - placed + ' without a position are in the schematic')
    : join(', ', routers.length + ' nodes in rings by their hops from this one', mesh.alone > 0 && mesh.alone + ' without a known link below'));
  made.map.invalidateSize({ animate: false });
  if (!made.fitted || (!made.touched && extent(made)?.toBBoxString() !== made.fitted)) fit(made);
  if (!made.map.hasLayer(made.painter)) made.painter.addTo(made.map);
  made.painter.again();
}

const redraw = () => { for (const made of Object.values(views)) made.painter.again(); };

// ---- What was picked

export function pick(name, go) {
  picked = mesh.nodes.has(name) ? name : '';
  traced = null;
  highlight();
  const node = mesh.nodes.get(picked), made = views[turned], at = node && made.place(node.router || node);
  // The whole way, as near as it goes.
  if (at && (go || !made.map.getBounds().contains(at))) {
    made.touched = true;
    const way = route(node).map((n) => made.place(n.kind === 'phone' && n.router ? n.router : n)).filter(Boolean);
    made.map.fitBounds(L.latLngBounds([at, ...way]), { padding: [70, 60], maxZoom: made.near + 1, animate: false });
  }
  showChosen(true);
}

function highlight() {
  onWay = new Set();
  const node = mesh.nodes.get(picked), nodes = traced?.target === picked ? hopsOnMap() : node ? route(node) : [];
  if (traced) traced.gaps = [];
  nodes.forEach((n, i) => {
    onWay.add(n);
    const before = nodes[i - 1], link = before && n.links.find((l) => other(l, n) === before);
    if (link) onWay.add(link);
    else if (before && traced && n.router !== before) traced.gaps.push([before, n]);
  });
  redraw();
}

// What a live trace found, as far as it is on the map, from this node on.
function hopsOnMap() {
  const by = new Map([...mesh.nodes.values()].filter((n) => n.ip).map((n) => [n.ip, n]));
  const found = traced.hops.map((hop) => mesh.nodes.get(words(hop.hostname)) || mesh.nodes.get(words(hop.hostname).toLowerCase()) || by.get(words(hop.ip)));
  return [mesh.source, ...found].filter((n, i, all) => n && n !== all[i - 1]);
}

function showChosen(fresh) {
  const box = $('chosen'), n = mesh.nodes.get(picked);
  box.hidden = !n || desk.tab() === 'phones';
  if (!n) return box.replaceChildren();
  const live = (!fresh && box.querySelector('.live')) || place();
  const drawn = (hops) => { if (picked === n.name) { traced = { target: n.name, hops, gaps: [] }; highlight(); } };
  const head = el('div', undefined, 'head'), close = el('button', 'Close'), name = desk.names().get(n.name);
  close.onclick = () => pick('');
  head.append(el('h3', join(' · ', name, n.name)), el('span', kindOf(n), 'note'));
  if (n.kind === 'phone') {
    const row = el('button', 'Show in the table');
    row.onclick = () => desk.openPhone(n.name);
    head.append(row);
  }
  head.append(close);
  const dl = el('dl');
  for (const [key, value] of [['address', n.ip], ['device', join(', ', n.model, n.firmware && 'firmware ' + n.firmware)], ['last seen', ago(n.seen)],
    ['node', n.kind === 'phone' && n.router?.name]].filter(([, value]) => value)) dl.append(el('dt', key), el('dd', value));
  const parts = [head, dl], way = route(n);
  if (way.length > 1) {
    const hops = way.slice(1).map((hop, i) => ({ hostname: hop.name, ip: hop.ip, rtt_ms: hop.links.find((l) => other(l, hop) === way[i])?.rtt }));
    parts.push(el('h3', 'Shortest known way'), desk.way(hops));
  } else if (n.kind !== 'server') parts.push(el('p', 'No way from this node to there is known.', 'note'));
  if (n.kind !== 'server') {
    const doing = el('div', undefined, 'buttons');
    doing.append(...buttons(n.kind === 'phone' ? n.name : '', n.ip, live, drawn));
    parts.push(doing);
  }
  parts.push(live);
  if (n.phones.length) {
    const list = el('div', undefined, 'buttons');
    for (const phone of n.phones) {
      const button = el('button', join(' · ', phone.name, desk.names().get(phone.name)));
      button.onclick = () => pick(phone.name);
      list.append(button);
    }
    parts.push(el('h3', n.phones.length === 1 ? 'One phone' : n.phones.length + ' phones'), list);
  }
  const links = n.links.filter((l) => other(l, n).kind !== 'phone').sort((x, y) => (x.rtt ?? 1e9) - (y.rtt ?? 1e9));
  if (links.length && n.kind !== 'phone') {
    const table = el('table'), top = el('tr'), body = el('tbody');
    top.append(...['Neighbour', 'Round trip', 'By'].map((title) => { const th = el('th', title); th.scope = 'col'; return th; }));
    for (const l of links) {
      const row = el('tr'), to = el('td'), button = el('button', other(l, n).name, 'link'), grade = quality(l.rtt);
      button.onclick = () => pick(other(l, n).name, true);
      to.append(button);
      const rtt = el('td');
      rtt.append(el('div', l.rtt === null ? 'not measured' : ms(l.rtt) + ' ms, ' + grade, l.rtt === null ? 'soft' : 'rtt ' + grade));
      if (l.min !== null) rtt.append(el('div', ms(l.min) + ' to ' + ms(l.max) + ' ms', 'sub'));
      const by = el('td');
      by.append(el('div', MEDIA.get(l.via.toUpperCase()) || l.via), el('div', l.quality === null ? '' : 'quality ' + Math.round(l.quality) + ' %', 'sub'));
      row.append(to, rtt, by);
      body.append(row);
    }
    const head = el('thead');
    head.append(top);
    table.append(head, body);
    parts.push(el('h3', links.length === 1 ? 'One neighbour' : links.length + ' neighbours'), table);
  }
  keepFocus(box, () => box.replaceChildren(...parts));
  if (fresh && n.kind !== 'server' && /^\d+\.\d+\.\d+\.\d+$/.test(n.ip)) trace(n.ip, live, drawn);
}

function legend() {
  const sample = (...children) => svg('svg', { width: 30, height: 14, viewBox: '0 0 30 14', 'aria-hidden': 'true' }, ...children);
  const link = (grade) => sample(svg('path', { d: 'M1 7h28', class: 'link-' + grade }));
  const items = [
    [sample(svg('circle', { cx: 15, cy: 7, r: 4, class: 'is-server' }), svg('circle', { cx: 15, cy: 7, r: 6, class: 'is-ring' })), 'this node'],
    [sample(svg('circle', { cx: 15, cy: 7, r: 4.5, class: 'is-router' })), 'router'],
    [sample(svg('path', { d: 'M15 1l6 6-6 6-6-6z', class: 'is-router' })), 'supernode'],
    [sample(svg('rect', { x: 11.5, y: 3.5, width: 7, height: 7, class: 'is-phone' })), 'phone (▪3: three, zoom in)'],
    [sample(svg('circle', { cx: 15, cy: 7, r: 4.5, class: 'is-inactive' })), 'inactive'],
    [link('good'), 'good, below 100 ms'], [link('fair'), 'fair, to 200 ms'], [link('poor'), 'poor, above 200 ms'], [link('none'), 'not measured'],
  ];
  $('legend').replaceChildren(...items.map(([picture, text]) => { const li = el('li'); li.append(picture, text); return li; }));
}

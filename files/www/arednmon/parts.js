// What every part of the page needs. Everything that comes from phones, nodes and books is set as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function el(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Only what changed is touched, so that selections, focus and the reader's place stay.
export function set(node, text, kind) {
  text = String(text ?? '');
  if (node.textContent !== text) node.textContent = text;
  if (kind !== undefined && node.className !== kind) node.className = kind;
}

// 3725 s: "1 h 2 min".
export function span(s) {
  s = Math.max(0, Math.floor(s));
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (d) return d + ' d ' + h + ' h';
  if (h) return h + ' h ' + m + ' min';
  return m ? m + ' min' : s + ' s';
}

export const join = (by, ...parts) => parts.filter((part) => part || part === 0).join(by);
export const list = (value) => (Array.isArray(value) ? value : []);
export const words = (value) => (typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value));

// A number, or null: absent fields, strings, and what is no number at all.
export function number(value) {
  if (value === null || value === undefined || value === '' || typeof value === 'boolean') return null;
  const n = Number(value);
  return Number.isFinite(n) ? n : null;
}

// Seconds since 1970 of a date in either form that the files have; null before the node knew the date.
export function date(value) {
  const n = number(value) ?? Date.parse(words(value)) / 1000;
  return Number.isFinite(n) && n > 1e9 ? n : null;
}

// The node's clock, by its own word: without the Internet it may be far from ours. Until the node said it: ours.
export const clock = { ahead: 0, known: false, now: () => Date.now() / 1000 + clock.ahead };
export function setClock(value) {
  const at = date(value);
  clock.known = at !== null;
  clock.ahead = at === null || Math.abs(at - Date.now() / 1000) < 5 ? 0 : at - Date.now() / 1000;
}

export function ago(value) {
  const at = date(value);
  return at === null ? '' : span(clock.now() - at) + ' ago';
}

export const ms = (value) => (value === null ? '' : value < 10 ? value.toFixed(1) : String(Math.round(value)));

// How good a round trip is for speech. The word goes wherever the colour goes.
export function quality(rtt) {
  if (rtt === null) return '';
  return rtt > 200 ? 'poor' : rtt > 100 ? 'fair' : 'good';
}

// Search: Mueller, muller and Müller are the same.
const plain = (s) => s.toLowerCase().normalize('NFD').replace(/\p{M}/gu, '').replace(/ø/g, 'o').replace(/ł/g, 'l').replace(/đ/g, 'd');
const umlauts = (s) => s.replace(/([aou])e/g, '$1').replace(/ß/g, 'ss').replace(/æ/g, 'a').replace(/œ/g, 'o');
export const searchable = (s) => plain(s) + '\n' + umlauts(plain(s));
export function finder(text) {
  const wanted = plain(text).split(/\s+/).filter(Boolean);
  return (haystack) => wanted.every((word) => haystack.includes(word) || haystack.includes(umlauts(word)));
}

// Makes the children of `parent` those of `items`, keeping what is there already.
export function sync(parent, items, key, make, show) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, i) => {
    const k = words(key(item));
    let node = old.get(k);
    if (!node) { node = make(item); node.dataset.key = k; }
    old.delete(k);
    show(node, item);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] || null);
  });
  for (const node of old.values()) node.remove();
}

// What was measured in a phase of a test, in words: [title, value] pairs.
export function measured(r, phase) {
  const value = (key) => number(r[phase + '_' + key]);
  const sent = value('sent'), received = value('received'), loss = value('loss');
  const some = (title, key) => (value(key) === null ? null : [title, ms(value(key)) + ' ms']);
  const answered = received !== null && sent !== null ? [['answered', received + ' of ' + sent]] : loss !== null ? [['lost', Math.round(loss) + ' %']] : [];
  if (received === 0) return answered;
  return [...answered, some('least', 'rtt_min'), some('mean', 'rtt'), some('median', 'rtt_median'), some('most', 'rtt_max'), some('jitter', 'jitter')].filter(Boolean);
}

// A heading and pairs below it.
export function table(title, pairs) {
  const box = el('div'), dl = el('dl');
  for (const [name, value] of pairs) dl.append(el('dt', name), el('dd', value));
  box.append(el('h3', title), dl);
  return box;
}

// Does something that makes the inside of `box` anew; the button that had the focus has it again.
export function keepFocus(box, work) {
  const active = box.contains(document.activeElement) ? document.activeElement : null, title = active?.textContent;
  work();
  if (active && !active.isConnected) [...box.querySelectorAll('button')].find((button) => button.textContent === title)?.focus();
}

// An answer of the node, one question after the other: it runs three programs at a time, for everybody.
async function askNow(path) {
  const got = await fetch('../cgi-bin/' + path, { cache: 'no-store', signal: AbortSignal.timeout?.(10000) });
  if (!got.ok) throw Object.assign(new Error('HTTP ' + got.status), { status: got.status });
  return got.json();
}

let queue = Promise.resolve();
export function ask(path) {
  const answer = queue.then(() => askNow(path));
  queue = answer.catch(() => {});
  return answer;
}

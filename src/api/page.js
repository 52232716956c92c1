'use strict';
// Everything that comes from phones and books is set as text, never as markup.

const EVERY = 3000;
const $ = (id) => document.getElementById(id);
let known = null, book = [], names = new Map(), bookMark = '', lost = null, timer = 0;

function el(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function set(node, text, kind) {
  if (node.textContent !== text) node.textContent = text;
  if (kind !== undefined && node.className !== kind) node.className = kind;
}

// 3725 s: "1 h 2 min"; with `exact` "1:02:05".
function span(s, exact) {
  s = Math.max(0, Math.floor(s));
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (exact) {
    const two = (n) => String(n).padStart(2, '0');
    return s < 3600 ? m + ':' + two(s % 60) : Math.floor(s / 3600) + ':' + two(m) + ':' + two(s % 60);
  }
  if (d) return d + ' d ' + h + ' h';
  if (h) return h + ' h ' + m + ' min';
  return m ? m + ' min' : s + ' s';
}

const join = (by, ...parts) => parts.filter(Boolean).join(by);

// Clocks that run between two looks: each node shows `text(seconds since the look)`.
const ticking = new Map();
function tick(node, text) {
  ticking.set(node, { text, from: performance.now() });
  set(node, text(0));
}
setInterval(() => {
  for (const [node, { text, from }] of ticking) {
    if (!node.isConnected) ticking.delete(node);
    else if (!lost) set(node, text((performance.now() - from) / 1000));
  }
}, 1000);

async function get(path) {
  const signal = AbortSignal.timeout?.(8000);
  const answer = await fetch('api/v1/' + path, { signal, cache: 'no-store' });
  if (!answer.ok) throw new Error('HTTP ' + answer.status);
  return answer.json();
}

// Search: as src/api/search.rs does it. Mueller, muller and Müller are the same.
const fold = (s) => s.toLowerCase().normalize('NFD').replace(/\p{M}/gu, '').replace(/ø/g, 'o').replace(/ł/g, 'l').replace(/đ/g, 'd');
const umlauts = (s) => s.replace(/([aou])e/g, '$1').replace(/ß/g, 'ss').replace(/æ/g, 'a').replace(/œ/g, 'o');

function filter() {
  const words = fold($('q').value).split(/\s+/).filter(Boolean), only = $('online').checked;
  let shown = 0;
  for (const e of book) {
    const hit = (!only || e.online === true) && words.every((w) => e.text.includes(w) || e.short.includes(umlauts(w)));
    if (e.row.hidden === hit) e.row.hidden = !hit;
    if (hit) shown++;
  }
  const searching = words.length > 0 || only;
  set($('count'), searching ? '· ' + shown + ' of ' + book.length : '');
  $('search').hidden = !book.length;
  document.querySelector('table').hidden = shown === 0;
  if (shown === 0) emptyBook(searching);
  $('book-empty').hidden = shown !== 0 || !known;
}

function linked() {
  const at = new URLSearchParams(location.hash.slice(1) || location.search);
  $('q').value = at.get('q') || '';
  $('online').checked = at.get('online') === '1';
}

function typed() {
  const at = new URLSearchParams();
  if ($('q').value.trim()) at.set('q', $('q').value.trim());
  if ($('online').checked) at.set('online', '1');
  history.replaceState(null, '', location.pathname + (at.toString() && '#' + at));
  filter();
}

function showBook(answer) {
  names = new Map();
  book = answer.entries.map((e) => {
    const row = el('tr'), name = el('td'), plain = join(' ', e.first_name, e.last_name);
    // The call sign stands apart where the name is what the book's columns make of it.
    if (plain && e.callsign && e.name === plain + ' (' + e.callsign + ')') name.append(plain, el('span', e.callsign, 'sign'));
    else name.append(e.name);
    const state = el('td');
    state.append(e.online === true ? el('span', 'online', 'state good') : el('span', e.online === false ? 'offline' : 'not checked', 'state off'));
    row.append(name, el('td', e.telephone), state);
    names.set(e.telephone, e.name);
    const text = fold([e.name, e.telephone, e.callsign, e.first_name, e.last_name].join(' '));
    return { row, online: e.online, text, short: umlauts(text) };
  });
  $('entries').replaceChildren(...book.map((e) => e.row));
}

function say(node, title, ...rest) {
  const parts = [el('strong', title), ...rest];
  // Replaced only when it says something else, so that a button in it keeps the focus.
  if (node.textContent !== parts.map((p) => p.textContent || p).join('')) node.replaceChildren(...parts);
}

const nowhere = (b) => !b.source && !b.error && !b.fetching && b.next_fetch_in_s === null;

function emptyBook(searching) {
  const at = $('book-empty'), b = known && known.phonebook;
  if (!b) return;
  if (book.length && searching) {
    const clear = el('button', 'Show the whole book');
    clear.onclick = () => { $('q').value = ''; $('online').checked = false; typed(); $('q').focus(); };
    return say(at, 'Nobody in the book matches this search.', clear);
  }
  if (b.state === 'OFF') return say(at, 'This node keeps no phonebook.', 'To have one, set ', el('code', 'enabled'), ' in the section ', el('code', 'phonebook'), ' of /etc/config/switchboard.');
  if (b.error) return say(at, 'No book yet.', b.error + '. It is tried again by itself.');
  if (nowhere(b)) return say(at, 'No book yet.', 'Say where your mesh has it: add a section ', el('code', 'server'), ' with its ', el('code', 'url'), ' to /etc/config/switchboard.');
  return say(at, 'No book yet.', 'It is being fetched.');
}

function showStatus() {
  const b = known.phonebook;
  set($('node'), known.node);
  document.title = join(' · ', known.node, 'Switchboard');
  set($('version'), 'Switchboard ' + known.version);
  $('simulated').hidden = !known.simulated;
  const facts = [['in the book', b.entries], ['online', b.online], ['registered', known.registrations],
    [known.calls === 1 ? 'call' : 'calls', known.calls], ['up', (t) => span(known.uptime_s + t)]];
  if (!$('facts').children.length) $('facts').append(...facts.map(() => { const d = el('div'); d.append(el('dt'), el('dd')); return d; }));
  facts.forEach(([label, value], i) => {
    const [dt, dd] = $('facts').children[i].children;
    set(dt, label);
    if (typeof value === 'function') tick(dd, value); else set(dd, String(value));
  });
  const words = { BOOT: 'kept from before the start', FAILED: 'last download failed', STALE: 'may be out of date', OFF: 'off' };
  const age = (t) => (b.age_s === null ? '' : 'confirmed ' + span(b.age_s + t) + ' ago');
  const bad = b.state === 'FAILED' || b.state === 'STALE';
  const note = $('book-note');
  note.className = bad ? 'note warn' : 'note';
  note.title = b.source || '';
  tick(note, (t) => (b.fetching ? 'fetching…' : b.entries || bad ? join(', ', join(': ', words[b.state], bad && b.entries > 0 && b.error), age(t)) : ''));
  $('fetch').hidden = b.state === 'OFF' || nowhere(b);
  $('problems').hidden = !b.problems;
  set($('problems').firstElementChild, 'Rows with problems: ' + b.problems);
}

// Makes the children of `list` those of `items`, keeping what is there already.
function sync(list, items, key, make, show) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, i) => {
    const k = key(item);
    let node = old.get(k);
    if (!node) { node = make(); node.dataset.key = k; }
    old.delete(k);
    show(node, item);
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] || null);
  });
  for (const node of old.values()) node.remove();
}

function row(...kinds) {
  const node = el('div', undefined, 'row');
  node.append(...kinds.map((kind) => el('span', undefined, kind)));
  return node;
}

const since = (x) => (x.since ? 'since ' + new Date(x.since).toLocaleString() : '');

function person(who, sub, number, display) {
  const name = display && display !== number ? display : names.get(number) || '';
  set(who, name || number);
  set(sub, name ? number : '');
}

const STATES = { INVITE_SENT: ['dialling', 'state'], RINGING: ['ringing', 'state wait'], ESTABLISHED: ['talking', 'state good'], TERMINATING: ['hanging up', 'state'] };

function showCalls(calls) {
  sync($('calls'), calls, (c) => c.call_id, () => {
    const li = el('li');
    li.append(row('who', 'sub'), row('to', 'who', 'sub'), row('state', 'sub', 'sub end'));
    return li;
  }, (li, c) => {
    const [from, to, more] = li.children;
    person(from.children[0], from.children[1], c.caller_user_id, c.caller_display_name);
    const [word, kind] = STATES[c.state] || [c.state, 'state'];
    set(more.children[0], word, kind);
    set(to.children[0], 'calls');
    person(to.children[1], to.children[2], c.callee_user_id, c.callee_display_name);
    const base = c.duration_s ?? c.age_s;
    tick(more.children[1], (t) => span(base + t, true));
    set(more.children[2], join(' · ', c.codec, c.callee_hostname));
    li.title = since(c);
  });
  tally('calls', calls, 'Nobody is talking right now.', 'A call appears here as soon as a phone dials.');
}

function tally(list, items, ...otherwise) {
  set($(list + '-note'), items.length ? String(items.length) : '');
  $(list + '-empty').hidden = items.length > 0;
  if (!items.length) say($(list + '-empty'), ...otherwise);
}

function showPhones(phones) {
  sync($('phones'), phones, (p) => p.number + ' ' + p.contact, () => {
    const li = el('li');
    li.append(row('who', 'sub', 'sub end'), row('sub', 'sub end'));
    return li;
  }, (li, p) => {
    const [who, more] = li.children;
    person(who.children[0], who.children[1], p.number, p.display_name);
    set(who.children[2], p.source.replace(/:5060$/, ''));
    set(more.children[0], p.user_agent);
    tick(more.children[1], (t) => 'renews within ' + span(p.expires_in_s - t));
    li.title = join('\n', p.contact, since(p));
  });
  const dl = el('dl');
  for (const [what, value] of [['SIP server', known.sip_server], ['User name', 'the number of the phone'], ['Password', 'any'], ['Transport', 'UDP']])
    dl.append(el('dt', what), el('dd', value));
  tally('phones', phones, 'No phone is registered yet.', 'Set up a SIP account in the phone:', dl, 'It appears here a moment later, and can be called by its number.');
}

function notice(text, kind) { set($('notice'), text, kind || ''); }

async function look() {
  clearTimeout(timer);
  try {
    known = await get('status');
    showStatus();
    const b = known.phonebook, mark = [b.state, b.entries, b.online, b.problems, b.last_updated, Math.floor(Date.now() / 60000)].join();
    if (mark !== bookMark) {
      const text = JSON.stringify(book.raw), answer = b.state === 'OFF' ? { entries: [] } : await get('phonebook');
      if (JSON.stringify(answer.entries) !== text) { showBook(answer); book.raw = answer.entries; }
      bookMark = mark;
    }
    filter();
    showCalls((await get('calls')).calls);
    showPhones((await get('registrations')).registrations);
    if (lost) { lost = null; notice(''); }
  } catch (error) {
    lost = lost || new Date();
    notice('No answer from Switchboard since ' + lost.toLocaleTimeString() + ' (' + error.message + '). What you see is from before.');
  }
  if (!document.hidden) timer = setTimeout(look, EVERY);
}

$('fetch').onclick = async () => {
  $('fetch').disabled = true;
  try {
    const answer = await fetch('api/v1/phonebook/reload', { method: 'POST', headers: { 'X-Requested-With': 'switchboard' } });
    const said = await answer.json();
    notice(answer.ok ? 'Fetching the phonebook…' : said.error, answer.ok ? 'plain' : '');
  } catch (error) {
    notice('Could not ask for the phonebook: ' + error.message);
  }
  setTimeout(() => { $('fetch').disabled = false; if (!lost) notice(''); look(); }, 2500);
};

$('problems').ontoggle = async () => {
  if (!$('problems').open) return;
  try {
    const rows = (await get('phonebook/problems')).problems;
    $('problems').lastElementChild.replaceChildren(...rows.map((p) => el('li', p.problem)));
  } catch (error) { notice(error.message); }
};

$('q').oninput = $('online').onchange = typed;
$('search').onsubmit = (event) => event.preventDefault();
addEventListener('hashchange', () => { linked(); filter(); });
addEventListener('keydown', (event) => {
  if (event.key === '/' && !/INPUT|TEXTAREA/.test(event.target.tagName) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); $('q').focus(); }
  if (event.key === 'Escape' && event.target === $('q')) { $('q').value = ''; typed(); }
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
$('mark').src = document.querySelector('link[rel=icon]').href;
linked();
look();

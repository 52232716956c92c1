// The page of the test desk: phones, calls, findings, health. The map and the schematic are in map.js, loaded when looked at.
import { $, el, svg, set, span, join, list, words, number, date, ago, clock, setClock, ms, quality, searchable, finder, sync, ask, measured, table, keepFocus } from './parts.js';
import { buttons, place, prepare } from './live.js';

const EVERY = 30000, EVERY_IN_CYCLE = 10000, EVERY_CALLS = 5000, EVERY_BOOK = 600000;
const seen = { tests: null, topology: null, findings: null, health: null, calls: null };
// What this page is to know of the configuration.
const settings = ask('dashboard_settings').catch(() => ({}));
settings.then((said) => { $('simulated').hidden = said?.simulated !== true; });
let names = new Map(), phones = [], open = '', view = null, lost = null, shownFindings = 6;

// ---- Phones

// One word for a phone, from its two tests.
function state(r) {
  const ping = words(r.ping_status), sip = words(r.options_status), either = [ping, sip, words(r.call_status)];
  if (sip === 'ONLINE' || (ping === 'ONLINE' && (sip === 'DISABLED' || !sip))) return ['online', 'online', 'good'];
  if (ping === 'ONLINE') return ['no-sip', sip === 'OFFLINE' ? 'no answer to SIP' : 'online', sip === 'OFFLINE' ? 'wait' : 'good'];
  if (either.includes('ONLINE')) return ['online', 'online', 'good'];
  if (either.includes('NO_DNS')) return ['no-dns', 'not on the mesh', 'off'];
  if (either.includes('OFFLINE')) return ['offline', 'offline', 'bad'];
  if (ping === 'DISABLED') return ['unknown', 'not tested', 'off'];
  return ['unknown', 'waiting for its test', 'off'];
}

// The past cycles, the oldest first: [{ping, options, loss}] in ms and percent, whichever names they have.
function past(r) {
  return list(r.history).slice(-32).map((h) => (h && typeof h === 'object'
    ? { ping: number(h.ping_rtt), options: number(h.options_rtt), loss: number(h.loss) ?? number(h.ping_loss) ?? 0 }
    : { ping: number(h), options: null, loss: number(h) === null ? 100 : 0 }));
}

function understand(r) {
  const p = { number: words(r.phone_number), raw: r };
  p.name = names.get(p.number) || words(r.name);
  [p.kind, p.word, p.tint] = state(r);
  p.ping = words(r.ping_status) === 'ONLINE' ? number(r.ping_rtt) : null;
  p.sip = words(r.options_status) === 'ONLINE' ? number(r.options_rtt) : null;
  p.past = past(r);
  p.router = words(r.router) || routers.get(p.number) || '';
  p.tested = date(r.timestamp);
  p.text = searchable([p.number, p.name, p.router, words(r.address), p.word].join(' '));
  return p;
}

const COLUMNS = [
  ['number', 'Number', (p) => p.number.padStart(16, '0')],
  ['name', 'Name', (p) => p.name.toLowerCase() || null],
  ['state', 'Status', (p) => ['offline', 'no-sip', 'online', 'unknown', 'no-dns'].indexOf(p.kind)],
  ['ping', 'Ping', (p) => p.ping],
  ['sip', 'SIP', (p) => p.sip],
  ['past', 'Past tests', (p) => (p.past.length ? -p.past.reduce((sum, h) => sum + h.loss, 0) : null)],
  ['tested', 'Tested', (p) => p.tested && -p.tested],
];
const KINDS = [['', 'all'], ['online', 'online'], ['no-sip', 'no answer to SIP'], ['offline', 'offline'], ['no-dns', 'not on the mesh'], ['unknown', 'not tested']];
const look = { q: '', kind: '', sort: 'number', down: false, tab: 'phones' };

for (const [key, title] of COLUMNS) {
  const th = el('th', undefined, 'c-' + key), button = el('button', title);
  th.scope = 'col';
  th.setAttribute('role', 'columnheader');
  button.type = 'button';
  button.onclick = () => {
    look.down = look.sort === key && !look.down;
    look.sort = key;
    remember();
    showPhones();
  };
  th.append(button);
  document.querySelector('thead tr').append(th);
}
for (const [key, title] of KINDS) {
  const button = el('button');
  button.type = 'button';
  button.dataset.kind = key;
  button.append(title + ' ', el('b'));
  button.onclick = () => { look.kind = look.kind === key ? '' : key; remember(); showPhones(); };
  $('kinds').append(button);
}

// A bar for each cycle: height by round trip, a cross where nothing came back.
function curve(history) {
  const height = 20, width = 4, most = Math.max(50, ...history.map((h) => h.ping ?? h.options ?? 0));
  let bars = '', losses = '', crosses = '';
  history.forEach((h, i) => {
    const x = i * width, rtt = h.ping ?? h.options;
    if (rtt === null) crosses += `M${x + .2} ${height - 3.6}l2.8 2.8m0-2.8l-2.8 2.8`;
    else bars += `M${x + 1.5} ${height}v-${Math.max(1.5, rtt / most * height).toFixed(1)}`;
    if (rtt !== null && h.loss > 0) losses += `M${x + 1.5} 0v2.5`;
  });
  const w = Math.max(16, history.length) * width, shift = `translate(${w - history.length * width})`;
  return svg('svg', { viewBox: `0 0 ${w} ${height}`, width: w, height, role: 'img', class: 'curve' },
    svg('g', { transform: shift }, svg('path', { d: bars, class: 'bars' }), svg('path', { d: losses, class: 'losses' }), svg('path', { d: crosses, class: 'crosses' })));
}

function curveWords(history) {
  const rtts = history.map((h) => h.ping ?? h.options).filter((rtt) => rtt !== null);
  const none = history.length - rtts.length, some = history.filter((h) => h.loss > 0).length - none;
  return join(', ', history.length + ' tests', rtts.length && ms(Math.min(...rtts)) + ' to ' + ms(Math.max(...rtts)) + ' ms',
    some > 0 && some + ' with loss', none > 0 && none + ' without an answer');
}

function showCurve(cell, p) {
  const mark = JSON.stringify(p.past);
  if (cell.dataset.mark === mark) return;
  cell.dataset.mark = mark;
  cell.replaceChildren(...(p.past.length ? [curve(p.past)] : []));
  if (p.past.length) cell.firstChild.setAttribute('aria-label', cell.title = curveWords(p.past));
}

function makeRow() {
  const row = el('tr');
  row.append(...COLUMNS.map(([key]) => el('td', undefined, 'c-' + key)));
  // On a narrow screen rows are no boxes of a table, and are still read out as such.
  row.setAttribute('role', 'row');
  for (const cell of row.children) cell.setAttribute('role', 'cell');
  const button = el('button', undefined, 'plain');
  button.type = 'button';
  row.children[0].append(button);
  row.children[1].append(el('span', undefined, 'name'), ' ', el('span', undefined, 'sub'));
  row.children[2].append(el('span'));
  for (const at of [3, 4]) row.children[at].append(el('span'), el('span'));
  row.onclick = (event) => {
    if (event.target.closest('a') || String(getSelection())) return;
    open = open === row.dataset.key ? '' : row.dataset.key;
    showPhones();
  };
  return row;
}

function showRtt(cell, status, rtt, jitter, loss) {
  const [value, more] = cell.children;
  const grade = quality(rtt);
  set(value, rtt === null ? (status === 'OFFLINE' ? 'none' : status === 'DISABLED' ? 'off' : '–') : ms(rtt) + ' ms',
    rtt === null ? 'soft' : 'rtt ' + grade);
  set(more, rtt === null ? '' : join(' · ', grade !== 'good' && grade, number(jitter) !== null && '± ' + ms(number(jitter)),
    number(loss) > 0 && Math.round(number(loss)) + ' % lost'), 'sub');
}

function showRow(row, p) {
  if (p.rowOf === row && p.detailOf === (open === p.number)) return;
  const [num, name, status, ping, sip, curveCell, tested] = row.children;
  set(num.firstChild, p.number);
  num.firstChild.setAttribute('aria-expanded', String(open === p.number));
  // The call sign stands behind the name, in brackets.
  const [, called, sign] = /^(.*\S)\s*\(([^()]+)\)$/.exec(p.name) || [, p.name, ''];
  set(name.firstChild, called);
  set(name.lastChild, sign);
  set(status.firstChild, p.word, 'state ' + p.tint);
  showRtt(ping, p.raw.ping_status, p.ping, p.raw.ping_jitter, p.raw.ping_loss);
  showRtt(sip, p.raw.options_status, p.sip, p.raw.options_jitter, p.raw.options_loss);
  showCurve(curveCell, p);
  set(tested, p.tested ? ago(p.tested) : 'not yet');
  row.classList.toggle('open', open === p.number);
  [p.rowOf, p.detailOf] = [row, open === p.number];
}

function showPhones() {
  const hits = finder(look.q), counts = new Map([['', 0]]);
  const found = phones.filter((p) => hits(p.text));
  for (const p of found) {
    counts.set(p.kind, (counts.get(p.kind) || 0) + 1);
    counts.set('', counts.get('') + 1);
  }
  for (const button of $('kinds').children) {
    const kind = button.dataset.kind, count = counts.get(kind) || 0;
    set(button.lastChild, count);
    button.hidden = !count && kind !== look.kind && kind !== '';
    button.setAttribute('aria-pressed', String(kind === look.kind));
  }
  const [, , key] = COLUMNS.find(([name]) => name === look.sort) || COLUMNS[0];
  const sorted = found.filter((p) => !look.kind || p.kind === look.kind).map((p) => [key(p), p]);
  // What is not known comes last, whichever way it is sorted.
  sorted.sort(([a, x], [b, y]) => (a === null) - (b === null) || (a < b ? -1 : a > b ? 1 : 0) * (look.down ? -1 : 1) || (x.number < y.number ? -1 : 1));
  [...document.querySelectorAll('thead th')].forEach((th, i) => {
    const on = COLUMNS[i][0] === look.sort;
    if (on) th.setAttribute('aria-sort', look.down ? 'descending' : 'ascending'); else th.removeAttribute('aria-sort');
  });
  const rows = [];
  for (const [, p] of sorted) {
    rows.push({ key: p.number, p });
    if (p.number === open) rows.push({ key: p.number + ' more', p, more: true });
  }
  sync($('phones'), rows, (r) => r.key, (r) => (r.more ? makeMore() : makeRow()), (node, r) => (r.more ? showMore(node, r.p) : showRow(node, r.p)));
  document.querySelector('table').hidden = !rows.length;
  $('search').hidden = !phones.length;
  $('phones-empty').hidden = rows.length > 0;
  if (!rows.length) {
    if (!phones.length) say($('phones-empty'), ...(seen.tests ? ['No phone was tested yet.', 'Phones of the book and registered phones appear here with the first round of tests.'] : ['Nothing is known of the phones.']));
    else {
      const all = el('button', 'Show all phones');
      all.onclick = () => { Object.assign(look, { q: '', kind: '' }); $('q').value = ''; remember(); showPhones(); $('q').focus(); };
      say($('phones-empty'), 'No phone matches this search.', all);
    }
  }
}

// ---- A phone in full

function makeMore() {
  const row = el('tr', undefined, 'more'), cell = el('td');
  cell.colSpan = COLUMNS.length;
  row.setAttribute('role', 'row');
  cell.setAttribute('role', 'cell');
  row.append(cell);
  return row;
}

// The names of addresses on the mesh.
let hosts = new Map(), routers = new Map();
function learnHosts() {
  routers = new Map(list(seen.topology?.nodes).filter((n) => n && n.type === 'phone').map((n) => [words(n.name), words(n.router)]));
  hosts = new Map(list(seen.topology?.nodes).filter((n) => n && words(n.ip)).map((n) => [words(n.ip), words(n.name)]));
  const more = seen.topology?.ip_mappings;
  for (const [ip, name] of Object.entries(more && typeof more === 'object' ? more : {})) hosts.set(ip, words(name));
}

// The hops of a way, as the tests or a live trace have them.
export function way(hops) {
  const ol = el('ol', undefined, 'way');
  for (const h of list(hops).filter((hop) => hop && typeof hop === 'object')) {
    const rtt = number(h.rtt_ms), ip = words(h.ip), name = words(h.hostname) || words(h.name) || hosts.get(ip) || ip, li = el('li');
    if (h.timeout || ip === '*') li.append(el('span', 'no answer', 'soft'));
    else {
      li.append(el('span', name, 'who'));
      if (ip && ip !== name) li.append(' ', el('span', ip, 'sub'));
      if (rtt !== null) li.append(' ', el('span', ms(rtt) + ' ms' + (quality(rtt) === 'good' ? '' : ', ' + quality(rtt)), 'rtt ' + quality(rtt)));
    }
    ol.append(li);
  }
  return ol;
}

function showMore(row, p) {
  const cell = row.firstChild, r = p.raw, mark = JSON.stringify(r) + p.name + Boolean(seen.topology);
  if (cell.dataset.mark === mark) return;
  cell.dataset.mark = mark;
  const kept = cell.querySelector('.live');
  const box = el('div', undefined, 'box'), facts = el('div', undefined, 'facts');
  const general = [['name', p.name], ['address', words(r.address).replace(/:5060$/, '')], ['node', p.router],
    ['tested', p.tested && new Date(p.tested * 1000).toLocaleString()], ['rang', { ONLINE: 'yes', OFFLINE: 'no' }[r.call_status]]].filter(([, value]) => value);
  facts.append(table(p.word, general));
  for (const [phase, title] of [['ping', 'Ping'], ['options', 'SIP OPTIONS']]) {
    const pairs = measured(r, phase);
    if (pairs.length) facts.append(table(title, pairs));
  }
  box.append(facts);
  const hops = list(r.path);
  if (hops.length) box.append(el('h3', 'Way'), way(hops));
  const doing = el('div', undefined, 'buttons'), live = kept || place();
  if (known(p.number)) {
    const show = el('button', 'Show on the map');
    show.onclick = () => { choose('map'); mapped().then((map) => map.pick(p.number)); };
    doing.append(show);
  }
  doing.append(...buttons(p.number, words(r.address).split(':')[0] || words(known(p.number)?.ip), live));
  if (!hops.length && !known(p.number)) doing.append(el('span', 'Its way through the mesh is not known.', 'note'));
  box.append(doing, live);
  keepFocus(cell, () => cell.replaceChildren(box));
}

const known = (name) => list(seen.topology?.nodes).find((n) => n && n.name === name);

// ---- The cycle, calls, findings, health

function showCycle() {
  const t = seen.tests || {}, progress = t.progress && typeof t.progress === 'object' ? t.progress : {};
  const done = number(progress.done), total = number(progress.total) ?? number(t.num_testable_phones), running = Boolean(progress.running) && total > 0;
  $('progress').hidden = !running;
  if (running) {
    const [bar, text] = $('progress').children, left = number(progress.remaining_s) ?? number(progress.eta_s);
    const load = number(t.load?.rate_limit) !== null && t.load;
    [bar.max, bar.value] = [total, done ?? 0];
    set(text, join(', ', 'Testing: ' + (done ?? 0) + ' of ' + total, left !== null && 'about ' + span(left) + ' left',
      load && load.rate + ' of ' + load.rate_limit + ' packets/s', load && load.in_flight + ' of ' + load.in_flight_limit + ' waiting'));
  }
  const every = number(t.test_interval), next = number(progress.next_s);
  set($('cycle'), running || !phones.length ? '' : join(' · ', t.last_update && date(t.last_update) && 'tested ' + ago(t.last_update),
    next !== null ? 'next in ' + span(next) : every && 'every ' + span(every)));
}

function say(node, title, ...rest) {
  const parts = [el('strong', title), ...rest];
  if (node.textContent !== parts.map((p) => p.textContent || p).join('')) node.replaceChildren(...parts);
}

const STATES = { INVITE_SENT: ['dialling', 'state'], RINGING: ['ringing', 'state wait'], ESTABLISHED: ['talking', 'state good'], TERMINATING: ['hanging up', 'state'] };

function line(shape, ...kinds) {
  const node = el('div', undefined, shape);
  for (const kind of kinds) node.append(el('span', undefined, kind), ' ');
  return node;
}

function person(who, sub, num, display) {
  const name = words(display) && words(display) !== words(num) ? words(display) : names.get(words(num)) || '';
  set(who, name || words(num));
  set(sub, name ? words(num) : '');
}

function showCalls() {
  const calls = list(seen.calls?.calls).filter((c) => c && typeof c === 'object');
  sync($('calls'), calls, (c) => c.call_id, () => {
    const li = el('li');
    li.append(line('people', 'who', 'sub'), line('people', 'to', 'who', 'sub'), line('row', 'state', 'sub end'));
    return li;
  }, (li, c) => {
    const [from, to, more] = li.children;
    person(from.children[0], from.children[1], c.caller_user_id, c.caller_display_name);
    const [word, kind] = (Object.hasOwn(STATES, c.state) && STATES[c.state]) || [words(c.state).toLowerCase(), 'state'];
    set(more.children[0], word, kind);
    set(to.children[0], 'calls');
    person(to.children[1], to.children[2], c.callee_user_id, c.callee_display_name);
    set(more.children[1], join(' · ', words(c.codec), words(c.callee_hostname)));
  });
  set($('calls-note'), calls.length || '');
  $('calls-empty').hidden = calls.length > 0;
  if (calls.length) return;
  if (!seen.calls || seen.calls.error) say($('calls-empty'), 'Calls cannot be seen.', ...(seen.calls ? [words(seen.calls.error) + '.'] : []));
  else say($('calls-empty'), 'Nobody is talking right now.', 'Calls through this node appear here.');
}

const GRAVE = { error: ['✖', 'calls fail', 'bad'], warning: ['▲', 'calls may fail', 'wait'], notice: ['●', 'good to know', ''] };

function showFindings() {
  const all = list(seen.findings?.findings).filter((f) => f && typeof f === 'object'), total = number(seen.findings?.total) ?? all.length;
  sync($('findings'), all.slice(0, shownFindings), (f) => join(' ', words(f.kind), words(f.subject), words(f.sentence)), () => {
    const li = el('li');
    li.append(el('span'), el('span'), el('p', undefined, 'sub'));
    li.children[0].setAttribute('role', 'img');
    return li;
  }, (li, f) => {
    const [sign, word, tint] = (Object.hasOwn(GRAVE, f.severity) && GRAVE[f.severity]) || GRAVE.notice;
    set(li.children[0], sign, 'sign ' + tint);
    li.children[0].setAttribute('aria-label', word);
    li.children[0].title = word;
    set(li.children[1], words(f.sentence));
    set(li.children[2], words(f.remedy));
  });
  set($('findings-note'), all.length ? join(', ', total, total > all.length && 'the worst ' + all.length + ' are here') : '');
  const hidden = all.length - shownFindings;
  $('more-findings').hidden = hidden <= 0;
  set($('more-findings'), 'Show ' + hidden + ' more');
  $('findings-empty').hidden = all.length > 0;
  if (!all.length) say($('findings-empty'), seen.findings && !seen.findings.error ? 'Nothing is wrong.' : 'Not known yet.', seen.findings && !seen.findings.error ? 'This node, its phones and the book fit together.' : 'What may be wrong with this node, its phones and the book will stand here.');
}

const CHECKS = { memory_stable: 'memory', no_recent_crashes: 'no crashes', sip_service_ok: 'SIP', phonebook_current: 'phonebook', cpu_normal: 'CPU', all_threads_responsive: 'responsive' };

function showHealth() {
  const h = seen.health && !seen.health.error ? seen.health : null;
  $('health-empty').hidden = Boolean(h);
  $('health').hidden = $('checks').hidden = !h;
  set($('health-note'), h ? join(' ', number(h.health_score) !== null && 'score ' + h.health_score + ' of 100') : '');
  const crash = h && typeof h.last_crash === 'object' ? h.last_crash : null, checks = (h && h.checks) || {};
  const crashes = number(crash?.crash_count_24h);
  const crashed = h && (checks.no_recent_crashes === false || crashes > 0);
  set($('crash'), !crashed ? '' : join(' ', '⚠ Switchboard crashed', crashes > 0 ? crashes + (crashes === 1 ? ' time' : ' times') + ' in the last 24 hours' : 'recently',
    crash && join(', ', '(last ' + ago(crash.crash_time), words(crash.description)) + ')') + '. On the node, “switchboard crash” says more.');
  if (!h) return say($('health-empty'), 'No report of this node’s health.', words(seen.health?.error) && words(seen.health.error) + '.');
  const sip = h.sip_service || {}, one = (value, unit, digits) => (number(value) === null ? null : number(value).toFixed(digits) + unit);
  const pairs = [['CPU', one(h.cpu_pct, ' %', 1)], ['memory', one(h.mem_mb, ' MB', 1)], ['up', number(h.uptime_seconds) === null ? null : span(h.uptime_seconds)],
    ['restarts', number(h.restart_count)], ['registered', number(sip.registered_users)], ['in the book', number(sip.directory_entries)]].filter(([, value]) => value !== null);
  sync($('health'), pairs, ([name]) => name, () => { const d = el('div'); d.append(el('dt'), el('dd')); return d; }, (d, [name, value]) => { set(d.children[0], name); set(d.children[1], value); });
  const silent = Object.entries(h.threads && typeof h.threads === 'object' ? h.threads : {}).filter(([, t]) => t && t.responsive === false).map(([name]) => name);
  const all = [...Object.entries(checks).map(([key, ok]) => [CHECKS[key] || key.replace(/_/g, ' '), ok === true]), ...silent.map((name) => [name.replace(/_/g, ' ') + ' does not respond', false])];
  sync($('checks'), all, ([name]) => name, () => el('li'), (li, [name, ok]) => set(li, (ok ? '✓ ' : '✗ ') + name + (ok ? '' : ' – not well'), 'state ' + (ok ? 'good' : 'bad')));
}

function showFacts() {
  const online = phones.filter((p) => p.kind === 'online' || p.kind === 'no-sip').length;
  const facts = [];
  if (phones.length) facts.push(['phones answer', online + ' of ' + phones.length, () => show('phones')]);
  const all = list(seen.topology?.nodes), nodes = all.filter((n) => n && n.type !== 'phone').length;
  if (nodes) facts.push(['nodes', nodes, () => show('map')]);
  const calls = list(seen.calls?.calls).length;
  if (seen.calls && !seen.calls.error) facts.push([calls === 1 ? 'call' : 'calls', calls, () => lead('calls-title')]);
  const findings = number(seen.findings?.total), score = number(seen.health?.health_score);
  if (findings !== null && !seen.findings.error) facts.push([findings === 1 ? 'finding' : 'findings', findings, () => lead('findings-title')]);
  if (score !== null && score < 100) facts.push(['health', score, () => lead('health-title')]);
  sync($('facts'), facts, ([name]) => name, () => {
    const d = el('div'), dd = el('dd'), button = el('button', undefined, 'fact');
    button.type = 'button';
    dd.append(button);
    d.append(el('dt'), dd);
    return d;
  }, (d, [name, value, go]) => {
    set(d.firstChild, name);
    set(d.lastChild.firstChild, value);
    d.lastChild.firstChild.setAttribute('aria-label', value + ' ' + name);
    d.onclick = go;
  });
  const node = words(seen.health?.node) || (words(seen.topology?.source_node?.name) !== 'unknown' ? words(seen.topology?.source_node?.name) : '');
  set($('node'), node);
  document.title = join(' · ', node, 'Mesh monitor');
}

// What a number at the top leads to: on a phone, 300 rows may lie between.
function lead(title) {
  $(title).tabIndex = -1;
  $(title).focus({ preventScroll: true });
  $(title).scrollIntoView({ block: 'start' });
}

function show(tab) {
  choose(tab);
  lead(tab === 'phones' ? 'phones-title' : 'map-title');
}

// ---- Looking again

async function fetched(key, path) {
  const text = JSON.stringify(seen[key]);
  const got = await ask(path);
  seen[key] = got && typeof got === 'object' ? got : null;
  return JSON.stringify(seen[key]) !== text;
}

function again() { phones = list(seen.tests?.results).filter((r) => r && words(r.phone_number)).map(understand); showPhones(); }

let timer = 0, booked = 0;
async function refresh() {
  clearTimeout(timer);
  let error = null, missing = null, answered = false;
  // Nodes with older programs have not all of these; a node that has none is no node of ours.
  const part = async (work) => { try { await work(); answered = true; } catch (e) { if (e.status === 404) missing = e; else error = e; } };
  if (Date.now() - booked >= EVERY_BOOK) {
    await part(async () => {
      const got = await ask('showphonebook');
      booked = Date.now();
      setClock(got?.timestamp);
      names = new Map(list(got?.entries).filter((e) => e && words(e.telephone)).map((e) => [words(e.telephone), words(e.name).replace(/^\* /, '')]));
      again();
    });
  }
  await part(async () => { if (await fetched('tests', 'phone_ping_json')) again(); showCycle(); });
  await part(async () => {
    if (!await fetched('topology', 'topology_json')) return;
    learnHosts();
    again();
    if (view) (await view).show(seen.topology);
  });
  await part(() => fetched('findings', 'findings_json'));
  await part(() => fetched('health', 'health_status'));
  if (!phones.length) showPhones();
  showCalls();
  showFindings();
  showHealth();
  showFacts();
  lostOr(error || (!answered && missing));
  if (!document.hidden) timer = setTimeout(refresh, seen.tests?.progress?.running ? EVERY_IN_CYCLE : EVERY);
}

let callTimer = 0;
async function refreshCalls() {
  clearTimeout(callTimer);
  try { await fetched('calls', 'active_calls_json'); showCalls(); showFacts(); } catch { /* The other look says so. */ }
  if (!document.hidden) callTimer = setTimeout(refreshCalls, EVERY_CALLS);
}

// What is shown may be from before: the node is out of reach, or it still has the files of a daemon that does not run.
function lostOr(error) {
  const before = Object.values(seen).some((had) => had && !had.error), sent = date(seen.health?.sent_at), every = number(seen.health?.interval_seconds);
  lost = error ? lost || new Date() : null;
  set($('notice'), error ? 'No answer from this node since ' + lost.toLocaleTimeString() + ' (' + error.message + '). ' + (before ? 'What you see is from before.' : 'This page goes on asking.')
    : !before ? 'Switchboard has told nothing here yet: it was started just now, or it does not run.'
    : clock.known && sent !== null && every !== null && clock.now() - sent > 2 * every + 60 ? 'Switchboard told something last ' + ago(sent) + ': it does not seem to run. What you see is from then.' : '');
}

// ---- Tabs and the address

function openPhone(num) {
  Object.assign(look, { q: '', kind: '' });
  $('q').value = '';
  open = num;
  choose('phones');
  showPhones();
  document.querySelector('#phones tr.open')?.scrollIntoView({ block: 'center' });
}

const TABS = ['phones', 'map', 'plan'];

const mapped = () => (view ||= import('./map.js').then(async (map) => {
  await map.start({ settings, way, names: () => names, tab: () => look.tab, choose, openPhone });
  map.show(seen.topology);
  return map;
}));

function choose(tab) {
  look.tab = TABS.includes(tab) ? tab : 'phones';
  for (const name of TABS) {
    const button = $('tab-' + name), on = name === look.tab;
    button.setAttribute('aria-selected', String(on));
    button.tabIndex = on ? 0 : -1;
  }
  document.body.dataset.tab = look.tab;
  $('view-phones').hidden = look.tab !== 'phones';
  $('view-map').hidden = look.tab === 'phones';
  $('chosen').hidden = look.tab === 'phones' || !$('chosen').childElementCount;
  $('view-map').setAttribute('aria-labelledby', 'tab-' + look.tab);
  if (look.tab !== 'phones') mapped().then((map) => map.turn(look.tab), (error) => set($('notice'), 'The map could not be loaded: ' + error.message));
  remember();
}

function remember() {
  const at = new URLSearchParams();
  if (look.tab !== 'phones') at.set('tab', look.tab);
  if (look.q.trim()) at.set('q', look.q.trim());
  if (look.kind) at.set('kind', look.kind);
  if (look.sort !== 'number' || look.down) at.set('sort', (look.down ? '-' : '') + look.sort);
  history.replaceState(null, '', location.pathname + (at.toString() && '#' + at));
}

function linked() {
  const at = new URLSearchParams(location.hash.slice(1)), sort = at.get('sort') || 'number';
  Object.assign(look, { q: at.get('q') || '', kind: at.get('kind') || '', down: sort.startsWith('-'), sort: sort.replace('-', '') });
  $('q').value = look.q;
  choose(at.get('tab') || 'phones');
}

$('tabs').onclick = (event) => event.target.id && choose(event.target.id.slice(4));
$('tabs').onkeydown = (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  choose(TABS[(TABS.indexOf(look.tab) + step + TABS.length) % TABS.length]);
  $('tab-' + look.tab).focus();
};
$('q').oninput = () => { look.q = $('q').value; remember(); showPhones(); };
$('search').onsubmit = $('find').onsubmit = (event) => event.preventDefault();
$('more-findings').onclick = () => { shownFindings = Infinity; showFindings(); };
addEventListener('hashchange', () => { linked(); showPhones(); });
addEventListener('keydown', (event) => {
  if (event.key === '/' && !/INPUT|TEXTAREA/.test(event.target.tagName) && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    $(look.tab === 'phones' ? 'q' : 'node-name').focus();
  }
  if (event.key === 'Escape' && event.target === $('q')) { $('q').value = look.q = ''; remember(); showPhones(); }
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) { refresh(); refreshCalls(); } });
prepare({ way });
$('mark').src = document.querySelector('link[rel=icon]').href;
linked();
refresh();
refreshCalls();

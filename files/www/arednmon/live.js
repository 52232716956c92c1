// What a click has the node do: a trace, a test of a phone, a ring. One at a time; what the node says to it, also a refusal, is
// shown where it was asked for.
import { el, words, list, join, measured, table } from './parts.js';

const PATIENCE = 30000, AGAIN = 400;
let way = null, running = null, token = '';
export const prepare = (given) => { way = given.way; };

// A POST, which a browser does not send for a page of another site without saying so. What we have just given up may still
// count as ours for a moment: then once more.
async function post(path, signal, patient) {
  for (let turn = 0; ; turn++) {
    const headers = { 'X-Requested-With': 'switchboard' };
    if (token) headers.Authorization = 'Bearer ' + token;
    const got = await fetch('../cgi-bin/' + path, { method: 'POST', cache: 'no-store', referrerPolicy: 'same-origin', headers, signal });
    const body = await got.json().catch(() => null);
    if (!body || typeof body !== 'object') throw new Error(got.status === 404 ? 'this node does not do that' : 'HTTP ' + got.status);
    if (!(patient && body.code === 429 && turn < 5)) return body;
    await new Promise((done) => { setTimeout(done, AGAIN); });
  }
}

const note = (text) => el('p', text, 'note');
const refusal = (got) => words(got.error) || (got.status === 'error' ? words(got.message) || 'no reason given' : '');
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.…]$/.test(text) ? '' : '.');

// Does one thing, and puts into `box` what is going on and what came of it.
async function run(box, path, doing, show) {
  if (running?.path === path && running.box === box) return;
  const before = running, mine = running = { path, box, control: new AbortController() };
  before?.control.abort();
  box.setAttribute('aria-busy', 'true');
  box.replaceChildren(note(doing));
  const late = setTimeout(() => mine.control.abort(), PATIENCE);
  let said;
  try {
    const got = await post(path, mine.control.signal, Boolean(before));
    const no = refusal(got);
    said = no ? [note(sentence(no)), ...(got.code === 401 ? [withToken(box, path, doing, show)] : [])] : show(got);
  } catch (error) {
    said = [note(running !== mine ? 'Given up: something else was asked for.'
      : sentence(mine.control.signal.aborted ? 'no answer in ' + PATIENCE / 1000 + ' s' : error.message))];
  }
  clearTimeout(late);
  if (running === mine) running = null;
  else if (running?.box === box) return;
  box.removeAttribute('aria-busy');
  box.replaceChildren(...said);
}

// Somebody from outside the node's LAN may have been given the token. It is kept while the page is open, and nowhere else.
function withToken(box, path, doing, show) {
  const form = el('form', undefined, 'buttons'), input = el('input'), send = el('button', 'Ring with the token');
  input.type = 'password';
  input.autocomplete = 'off';
  input.placeholder = 'Token of the node';
  input.setAttribute('aria-label', input.placeholder);
  form.append(input, send);
  form.onsubmit = (event) => {
    event.preventDefault();
    if (!input.value) return;
    token = input.value;
    run(box, path, doing, show);
  };
  token = '';
  return form;
}

// Where the answers to clicks go; read out when they come.
export function place() {
  const box = el('div', undefined, 'live');
  box.setAttribute('role', 'status');
  return box;
}

// The way to an address; `shown` gets the hops for a drawing.
export function trace(ip, box, shown) {
  return run(box, 'traceroute_json?ip=' + encodeURIComponent(ip), 'Tracing the way to ' + ip + ' …', (got) => {
    const hops = list(got.hops).filter((hop) => hop && typeof hop === 'object' && hop.hop !== 0);
    shown?.(hops);
    const end = got.reached === false && (hops.length ? 'The target itself did not answer.' : 'No hop answered.');
    return [el('h3', 'Live trace'), ...(hops.length ? [way(hops)] : []), ...(end ? [note(end)] : [])];
  });
}

const WORDS = { ONLINE: 'It answers', OFFLINE: 'It does not answer', NO_DNS: 'It is not on the mesh: nobody knows its address', DISABLED: 'Nothing was sent', UNKNOWN: 'Not known yet' };

function test(phone, box) {
  return run(box, 'uac_ping?target=' + encodeURIComponent(phone) + '&count=5', 'Testing ' + phone + ' with 5 pings and 5 OPTIONS; it does not ring …', (got) => {
    const facts = el('div', undefined, 'facts'), result = words(got.result);
    for (const [phase, title] of [['ping', 'Ping'], ['options', 'SIP OPTIONS']]) if (got[phase + '_sent'] > 0) facts.append(table(title, measured(got, phase)));
    const head = join(', ', Object.hasOwn(WORDS, result) ? WORDS[result] : sentence(words(got.message)), got.complete === false && 'but the test was ended early');
    return [el('h3', 'Test now'), note(sentence(head)), facts];
  });
}

function ring(phone, box) {
  return run(box, 'uac_test?target=' + encodeURIComponent(phone), 'Ringing ' + phone + ' …', (got) => [el('h3', 'Ring'), note(words(got.message))]);
}

// Buttons for a phone and for an address, whichever is known; what comes of them goes into `box`. A ring disturbs somebody, so
// it takes a second click.
export function buttons(phone, ip, box, shown) {
  const made = [];
  const add = (title, action) => {
    const button = el('button', title);
    button.type = 'button';
    button.onclick = () => action(button);
    made.push(button);
  };
  if (/^\d+\.\d+\.\d+\.\d+$/.test(ip)) add('Trace now', () => trace(ip, box, shown));
  if (/^\d{1,20}$/.test(phone)) {
    add('Test now', () => test(phone, box));
    add('Ring', (button) => {
      if (button.dataset.sure) {
        delete button.dataset.sure;
        button.textContent = 'Ring';
        ring(phone, box);
        return;
      }
      button.dataset.sure = 'yes';
      button.textContent = 'Ring it now?';
      setTimeout(() => { delete button.dataset.sure; button.textContent = 'Ring'; }, 5000);
    });
  }
  return made;
}

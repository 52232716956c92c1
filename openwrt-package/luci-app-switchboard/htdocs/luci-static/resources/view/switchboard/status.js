'use strict';
'require view';
'require poll';
'require rpc';
'require ui';

// What the exchange is doing: the daemon's own answers, by ubus. Texts of phones and of the mesh are data: they reach the
// page as text nodes only.

const ask = (method) => rpc.declare({ object: 'switchboard', method: method, expect: { '': {} }, reject: true });

const status = ask('status');
const calls = ask('calls');
const registrations = ask('registrations');
const findings = ask('findings');
const fetchBook = ask('fetch');

// An answer, or what is wrong with it: without its service rpcd has no such object.
const careful = (call) => call().catch((error) => ({ error: String(error.message || error) }));

function text(value) {
	return document.createTextNode(value == null || value === '' ? '–' : String(value));
}

function duration(seconds) {
	if (seconds == null)
		return '–';
	if (seconds < 60)
		return _('%d s').format(seconds);
	if (seconds < 3600)
		return _('%d min').format(seconds / 60);
	if (seconds < 86400)
		return _('%d h').format(seconds / 3600);
	return _('%d days').format(seconds / 86400);
}

function table(titles, rows, nothing) {
	const head = E('tr', { 'class': 'tr table-titles' }, titles.map((title) => E('th', { 'class': 'th' }, [ text(title) ])));
	const body = rows.map((row) =>
		E('tr', { 'class': 'tr' }, row.map((cell, column) => E('td', { 'class': 'td', 'data-title': titles[column] }, [ text(cell) ]))));
	if (!body.length)
		body.push(E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ text(nothing) ]) ]) ]));
	return E('table', { 'class': 'table' }, [ head ].concat(body));
}

function pairs(rows) {
	return E('table', { 'class': 'table' }, rows.map((row) =>
		E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'width': '33%' }, [ text(row[0]) ]), E('td', { 'class': 'td left' }, [ text(row[1]) ]) ])));
}

function draw(node, answers) {
	const [ now, live, phones, wrong ] = answers;
	const parts = [];

	if (now.error) {
		parts.push(E('p', { 'class': 'alert-message warning' }, [ text(now.error) ]));
	} else {
		const book = now.phonebook || {};
		parts.push(pairs([
			[ _('SIP server for phones'), now.sip_server ],
			[ _('Running for'), duration(now.uptime_s) ],
			[ _('Registered phones'), now.registrations ],
			[ _('Calls'), now.calls ],
			[ _('Phonebook'), _('%s, %d entries, %d online').format(book.state || '–', book.entries || 0, book.online || 0) ],
			[ _('Phonebook confirmed'), book.age_s == null ? _('not since the start') : _('%s ago').format(duration(book.age_s)) ],
			[ _('Last error'), book.error ],
			[ _('Version'), now.version ]
		]));
	}

	parts.push(E('h3', {}, [ text(_('Calls')) ]));
	parts.push(table([ _('From'), _('To'), _('State'), _('For') ],
		(live.calls || []).map((call) => [ call.caller_user_id, call.callee_user_id, call.state, duration(call.age_s) ]),
		_('Nobody is on the phone.')));

	parts.push(E('h3', {}, [ text(_('Registered phones')) ]));
	parts.push(table([ _('Number'), _('Name'), _('Address'), _('Phone'), _('Expires in') ],
		(phones.registrations || []).map((phone) => [ phone.number, phone.display_name, phone.source, phone.user_agent, duration(phone.expires_in_s) ]),
		_('No phone is registered here.')));

	if ((wrong.findings || []).length) {
		parts.push(E('h3', {}, [ text(_('What is wrong')) ]));
		parts.push(table([ _('Finding'), _('Remedy') ],
			wrong.findings.map((finding) => [ finding.sentence, finding.remedy ]), ''));
	}

	node.replaceChildren(...parts);
}

return view.extend({
	load() {
		return Promise.all([ status, calls, registrations, findings ].map(careful));
	},

	render(answers) {
		const node = E('div', {});
		draw(node, answers);
		poll.add(() => this.load().then((fresh) => draw(node, fresh)), 5);

		return E('div', { 'class': 'cbi-map' }, [
			E('h2', {}, [ text(_('Switchboard')) ]),
			E('p', {}, [
				E('a', { 'href': '//' + window.location.hostname + '/arednmon/', 'target': '_blank', 'rel': 'noopener' }, [ text(_('Phones and mesh')) ]),
				text(' '),
				E('button', {
					'class': 'btn cbi-button-action',
					'click': ui.createHandlerFn(this, () => careful(fetchBook).then((answer) =>
						ui.addNotification(null, E('p', {}, [ text(answer.error || _('The phonebook is being fetched.')) ]), answer.error ? 'warning' : 'info')))
				}, [ text(_('Fetch the phonebook')) ])
			]),
			node
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});

'use strict';
'require view';
'require form';
'require uci';

// The main options; /etc/config/switchboard has them all, `switchboard help options` explains each. What a form leaves
// empty keeps its default, which stands as the placeholder.

const SECTIONS = { main: 'switchboard', sip: 'sip', phonebook: 'phonebook', mesh: 'mesh', probe: 'probe', api: 'api' };

function flag(section, name, title, help, standard) {
	const option = section.option(form.Flag, name, title, help);
	option.default = standard;
	option.rmempty = false;
	return option;
}

function value(section, name, title, help, placeholder) {
	const option = section.option(form.Value, name, title, help);
	option.placeholder = placeholder;
	option.rmempty = true;
	return option;
}

return view.extend({
	load() {
		return uci.load('switchboard').then(() => {
			// A configuration that was taken over, or cut down by hand, need not have them all.
			for (const name in SECTIONS)
				if (!uci.get('switchboard', name))
					uci.add('switchboard', SECTIONS[name], name);
		});
	},

	render() {
		const map = new form.Map('switchboard', _('Switchboard'),
			_('The telephone exchange of this node. Changes are taken over without dropping calls.'));

		let s = map.section(form.NamedSection, 'main', 'switchboard', _('Service'));
		flag(s, 'enabled', _('Enabled'), _('Whether the service runs at all.'), '1');
		let o = s.option(form.ListValue, 'log_level', _('Log'), _('The most detailed level that is logged.'));
		[ 'off', 'error', 'warn', 'info', 'debug', 'trace' ].forEach((level) => o.value(level));
		o.default = 'info';

		s = map.section(form.NamedSection, 'sip', 'sip', _('Exchange'));
		flag(s, 'enabled', _('Enabled'), _('Whether phones can register here and call.'), '1');
		value(s, 'listen', _('Listen on'), _('UDP address that phones talk to.'), '0.0.0.0:5060');
		value(s, 'country_prefix', _('Country prefix'), _('Digits that a number of this country may carry in front, as 041.'), 'none');
		o = s.option(form.ListValue, 'takeover', _('Takeover'), _('When a number is registered from another address while its phone may be alive.'));
		[ [ 'allow', _('allow') ], [ 'log', _('allow and log') ], [ 'refuse', _('refuse') ] ].forEach((choice) => o.value(choice[0], choice[1]));
		o.default = 'log';

		s = map.section(form.NamedSection, 'phonebook', 'phonebook', _('Phonebook'));
		flag(s, 'enabled', _('Enabled'), _('Whether this node keeps a book.'), '1');
		value(s, 'interval', _('Fetch every'), _('As 30m, 1h or 1d.'), '1h');
		o = s.option(form.MultiValue, 'formats', _('Phones'), _('Makers whose phones the book is published for.'));
		[ 'yealink', 'cisco', 'snom', 'grandstream', 'fanvil', 'polycom', 'vcard', 'acrobits' ].forEach((format) => o.value(format));
		o.default = 'yealink';
		value(s, 'online_marker', _('Online marker'), _('Stands before the name of a phone that is online; none marks nothing.'), '* ');

		s = map.section(form.TypedSection, 'server', _('Servers of the phonebook'), _('Tried in this order.'));
		s.anonymous = true;
		s.addremove = true;
		s.sortable = true;
		o = s.option(form.Value, 'url', _('URL'));
		o.placeholder = 'http://my-file-server.local.mesh/filerepo/Phonebook/AREDN_Phonebook.csv';
		o.rmempty = false;
		o.validate = (_section, url) => /^(http|file):\/\/\S+$/.test(url) || _('http://HOST[:PORT]/PATH or file:///PATH');

		s = map.section(form.NamedSection, 'probe', 'probe', _('Tests of phones'));
		flag(s, 'enabled', _('Enabled'), _('Pings and SIP tests of the phones that are on the mesh.'), '1');
		value(s, 'interval', _('Every'), _('As 10m or 1h.'), '10m');
		flag(s, 'call_test', _('Ring phones'), _('Rings a phone that answered neither ping nor SIP. It disturbs people.'), '0');
		flag(s, 'traceroute', _('Trace ways'), _('Looks for the ways to the phones.'), '1');

		s = map.section(form.NamedSection, 'mesh', 'mesh', _('Map'));
		flag(s, 'enabled', _('Enabled'), _('Draws a map from what the node knows anyway.'), '1');
		flag(s, 'crawl', _('Ask other nodes'), _('For their positions and links. That is traffic: one node of a mesh that does it is enough.'), '0');
		value(s, 'boundary', _('Ask only'), _('Names of nodes with * and ?, as HB*.'), 'none');

		s = map.section(form.NamedSection, 'api', 'api', _('Monitor'));
		value(s, 'tiles', _('Map tiles'), _('A tile server on the mesh: http://HOST/{z}/{x}/{y}.png'), 'none');

		return map.render();
	}
});

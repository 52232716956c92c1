//! What the engines know, in the words of the API.

use std::borrow::Cow;

use log::info;

use super::Core;
use crate::api::view::{
    BookState, BookStatusView, CallState, CallView, EngineView, EntryView, ProblemView, RegistrationView, StatusView,
};
use crate::api::{Endpoint, Shown, metrics, monitor, render};
use crate::engine::{Engine, Part};
use crate::features::Feature;
use crate::phonebook;
use crate::sip;
use crate::time::Instant;
use crate::wire::http::{Request, Response};

/// RFC 3261 §19.1.2; phones need not be told.
const SIP_PORT: u16 = 5060;

impl Core {
    /// Answers a request that only looks.
    pub(super) fn show(&self, endpoint: &Endpoint, request: &Request, now: Instant) -> Response {
        match endpoint {
            Endpoint::Page(asset) => render::page(*asset, request.if_none_match.as_deref()),
            Endpoint::Monitor(file) => render::file(file, request.if_none_match.as_deref()),
            Endpoint::ToMonitor => render::to(monitor::PAGE),
            Endpoint::Shown(shown) => self.shown(*shown, now),
            Endpoint::Status => render::status(&self.status_view(now)),
            Endpoint::Phonebook(search) => render::phonebook(&self.book_view(now), self.entry_views(), search),
            Endpoint::Problems => render::problems(self.phonebook.status().problems, &self.problem_views()),
            Endpoint::Registrations => render::registrations(&self.registration_views(now)),
            Endpoint::Calls => render::calls(&self.call_views(now)),
            Endpoint::Metrics => {
                let calls = self.sip.calls().calls().map(|call| call_state(call.state));
                let health = self.health_metrics(now);
                metrics::metrics(&self.status_view(now), calls, &self.engine_views(now), health.as_ref())
            }
            Endpoint::Mesh => self.show_map(now),
            Endpoint::MeshPhones => self.show_announced(),
            Endpoint::ReloadPhonebook | Endpoint::LoadPhonebook | Endpoint::ReloadConfig | Endpoint::Live(..) => {
                render::error(405, "this changes something: use POST")
            }
        }
    }
}

impl Core {
    /// `/tmp/active_calls.json`.
    pub(super) fn active_calls_json(&self, now: Instant) -> Vec<u8> {
        render::active_calls_json(&self.call_views(now))
    }

    /// What the CGI program of that name prints.
    fn shown(&self, shown: Shown, now: Instant) -> Response {
        let map = self.map.get().map(|map| &map.mesh);
        let (json, feature) = match shown {
            Shown::ActiveCalls => return render::json_file(self.active_calls_json(now)),
            Shown::Phonebook => return render::json_file(self.phonebook_json(now)),
            Shown::Settings => return render::json_file(self.monitor_settings()),
            Shown::Health => return self.show_health(now),
            Shown::Findings => (map.map(|mesh| mesh.findings_json(now)), Feature::Mesh),
            Shown::Topology => (map.map(|mesh| mesh.topology_json(now)), Feature::Mesh),
            Shown::PhoneTests => (self.phone_ping_json(now), Feature::Desk),
        };
        json.map_or_else(|| render::missing(feature), render::json_file)
    }

    /// `/tmp/arednmon/settings.json`.
    pub(super) fn monitor_settings(&self) -> Vec<u8> {
        render::monitor_settings(&self.config.api.tiles, &self.config.api.tiles_credit, self.simulated)
    }

    /// `/tmp/phonebook.json`.
    pub(super) fn phonebook_json(&self, now: Instant) -> Vec<u8> {
        let marker = &self.config.phonebook.online_marker;
        render::phonebook_json(self.phonebook.last_updated(), self.entry_views(), marker, self.clock.date(now))
    }

    fn status_view(&self, now: Instant) -> StatusView<'_> {
        let port = self.sip.port();
        let host = match self.identity.addresses.iter().find(|address| !address.is_loopback()) {
            _ if !self.config.sip.listen.ip().is_unspecified() => self.config.sip.listen.ip().to_string(),
            Some(_) => format!("localnode.{}", self.config.names.domain),
            None => "127.0.0.1".to_owned(),
        };
        StatusView {
            version: env!("CARGO_PKG_VERSION"),
            features: Feature::names().collect(),
            node: Cow::Borrowed(&self.identity.name),
            sip_server: if port == SIP_PORT { host.into() } else { format!("{host}:{port}").into() },
            domain: Cow::Borrowed(&self.config.names.domain),
            date: self.clock.date(now),
            uptime_s: now.since(self.started).as_secs(),
            phonebook: self.book_view(now),
            registrations: self.sip.registrar().len(),
            calls: self.sip.calls().len(),
            simulated: self.simulated,
        }
    }

    fn book_view(&self, now: Instant) -> BookStatusView<'_> {
        let status = self.phonebook.status();
        let first = self.config.servers.first();
        BookStatusView {
            state: match status.state {
                _ if !self.config.phonebook.enabled => BookState::Off,
                phonebook::State::Boot => BookState::Boot,
                phonebook::State::Success => BookState::Success,
                phonebook::State::Failed => BookState::Failed,
                phonebook::State::Stale => BookState::Stale,
            },
            entries: status.entries,
            online: self.phonebook.entries().iter().filter(|entry| entry.online).count(),
            problems: status.problems,
            private: status.private,
            fetching: status.fetching,
            last_updated: self.phonebook.last_updated(),
            age_s: status.last_success.map(|at| now.since(at).as_secs()),
            next_fetch_in_s: status.next_fetch.map(|at| at.since(now).as_secs()),
            source: status.url.as_deref().or(first.map(|server| server.url.as_str())).map(Cow::Borrowed),
            error: status.error.as_ref().map(|failure| format!("{}: {}", failure.url, failure.why).into()),
        }
    }

    fn entry_views(&self) -> impl Iterator<Item = EntryView<'_>> {
        self.phonebook.entries().iter().map(|entry| EntryView {
            name: entry.display_name().into(),
            telephone: Cow::Borrowed(&entry.number),
            first_name: Cow::Borrowed(&entry.first),
            last_name: Cow::Borrowed(&entry.last),
            callsign: Cow::Borrowed(&entry.callsign),
            online: Some(entry.online),
        })
    }

    fn problem_views(&self) -> Vec<ProblemView<'_>> {
        let view =
            |problem: &phonebook::Problem| ProblemView { line: problem.line, problem: problem.to_string().into() };
        self.phonebook.problems().iter().map(view).collect()
    }

    fn registration_views(&self, now: Instant) -> Vec<RegistrationView<'_>> {
        let view = |binding: &'_ sip::registrar::Binding| {
            let number = binding.user.to_string();
            let listed = self.phonebook.find(&number).map(phonebook::Entry::display_name);
            RegistrationView {
                display_name: listed.unwrap_or_else(|| binding.display.to_string()).into(),
                number: number.into(),
                contact: String::from_utf8_lossy(&binding.contact).into_owned().into(),
                source: binding.source,
                user_agent: binding.user_agent.to_string().into(),
                q: binding.q,
                since: self.clock.date(binding.since),
                age_s: now.since(binding.since).as_secs(),
                expires_in_s: binding.expires_at.since(now).as_secs(),
            }
        };
        self.sip.registrar().bindings().map(view).collect()
    }

    fn call_views(&self, now: Instant) -> Vec<CallView<'_>> {
        let view = |call: &'_ sip::calls::Call| CallView {
            caller_user_id: call.caller().to_owned().into(),
            caller_display_name: self.called(call.caller_display(), call.caller()),
            callee_user_id: call.callee().to_owned().into(),
            callee_display_name: self.called(call.callee_display(), call.callee()),
            codec: call.codec().to_owned().into(),
            callee_hostname: call.callee_host().to_owned().into(),
            state: call_state(call.state),
            call_id: String::from_utf8_lossy(call.call_id()).into_owned().into(),
            since: self.clock.date(call.since),
            age_s: now.since(call.since).as_secs(),
            duration_s: call.answered.map(|at| now.since(at).as_secs()),
        };
        self.sip.calls().calls().map(view).collect()
    }

    /// As the phones say, else as the book says, else nothing.
    fn called(&self, said: &str, number: &str) -> Cow<'static, str> {
        if !said.is_empty() && said != number {
            return said.to_owned().into();
        }
        self.phonebook.find(number).map(phonebook::Entry::display_name).unwrap_or_default().into()
    }

    fn engine_views(&self, now: Instant) -> Vec<EngineView> {
        let view = |(part, state): (Part, &dyn Engine)| {
            let mut tables = state.tables();
            if part == Part::Probe {
                tables.extend(self.probe_rate(now));
            }
            EngineView { engine: part.name(), tables, counters: state.counters() }
        };
        self.engines().map(view).collect()
    }

    /// Everything, for the log.
    pub(super) fn dump(&self, now: Instant) {
        let book = self.book_view(now);
        let (registrations, calls) = (self.registration_views(now), self.call_views(now));
        info!("phonebook: {:?}, {} entries, {} online", book.state, book.entries, book.online);
        for view in &registrations {
            info!("registered: {} at {} for {} s more", view.number, view.source, view.expires_in_s);
        }
        for view in &calls {
            let (caller, callee) = (&view.caller_user_id, &view.callee_user_id);
            info!("call: {caller:?} with {callee:?}, {:?} for {} s", view.state, view.age_s);
        }
        for view in self.engine_views(now) {
            let tables = view.tables.iter().map(|table| format!(" {} {}/{}", table.name, table.used, table.limit));
            let counters = view.counters.iter().filter(|counter| counter.count > 0);
            let counters = counters.map(|counter| format!(" {} {}", counter.name, counter.count));
            info!("{}:{}", view.engine, tables.chain(counters).collect::<String>());
        }
    }
}

fn call_state(state: sip::calls::CallState) -> CallState {
    match state {
        sip::calls::CallState::InviteSent => CallState::InviteSent,
        sip::calls::CallState::Ringing => CallState::Ringing,
        sip::calls::CallState::Established => CallState::Established,
        sip::calls::CallState::Terminating => CallState::Terminating,
    }
}

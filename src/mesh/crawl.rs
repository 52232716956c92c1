//! Asking routers about themselves, one question each: a round over the mesh, nearest first, every now and then.
//!
//! Deliberately not here: the connection (`http/`), what an answer means (`learn.rs`), and everything that the node knows without
//! asking. Off unless the configuration says otherwise.
//!
//! ```text
//!          round is due                      answer: neighbours that are new join the queue
//!   Resting ───────────▶ queue ──pace──▶ in flight ──▶ queue empty, nobody in flight ──▶ Resting
//!                                            │ no such page there: once more, the old URL
//! ```
//!
//! A node that does not answer is asked in every second round, then in every fourth, then in every eighth. A supernode answers
//! for itself, but whom only it knows is of another mesh; a name outside the boundary is not asked at all.

use std::collections::VecDeque;
use std::time::Duration;

use super::graph::{Evidence, Graph, Kind, KnownUrl, Node, NodeId};
use super::learn::Rules;
use super::name;
use crate::config;
use crate::rng::Rng;
use crate::time::{Instant, sooner};
use crate::wire::http::Url;
use crate::wire::services::is_number;

/// Since 4.26.
const NEW: &str = "/a/sysinfo?lqm=1";

/// Before; firmware that has no measurements still tells its links.
const OLD: &str = "/cgi-bin/sysinfo.json?lqm=1&link_info=1";

/// After the start, before the first round: the files come first.
const FIRST: Duration = Duration::from_secs(30);

/// Past the time that the HTTP client has, before an answer is given up.
const GRACE: Duration = Duration::from_secs(10);

/// When the client has no place left.
const BUSY: Duration = Duration::from_secs(1);

/// How far a round has come; of the last one while none is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rounds since the start, this one included.
    pub rounds: u64,
    /// Whether a round is going on.
    pub running: bool,
    /// Nodes that are to be asked, as far as is known.
    pub nodes: u32,
    /// Nodes that answered.
    pub answered: u32,
    /// Nodes that did not, or not with what was asked for.
    pub failed: u32,
    /// Questions, the second ones included.
    pub questions: u32,
    /// How long the last whole round took.
    pub took: Duration,
    /// When the next is due.
    pub next: Option<Instant>,
}

/// A node whose turn comes.
#[derive(Clone, Copy, Debug)]
struct Turn {
    id: NodeId,
    /// The URL that is left after the other one did not do; `None`: it is asked for the first time in this round.
    left: Option<KnownUrl>,
}

/// A question that was asked.
#[derive(Debug)]
struct Flight {
    token: u32,
    turn: Turn,
    name: Box<str>,
    url: KnownUrl,
    /// No answer is expected after this.
    until: Instant,
}

/// Who answered, or did not.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The node.
    pub id: NodeId,
    /// Which of its URLs was asked.
    pub url: KnownUrl,
    turn: Turn,
}

/// The schedule and the round.
#[derive(Debug)]
pub struct Crawl {
    enabled: bool,
    round: u32,
    queue: VecDeque<Turn>,
    flights: Vec<Flight>,
    token: u32,
    /// Before this nobody is asked.
    next_question: Instant,
    next_round: Option<Instant>,
    started: Instant,
    progress: Progress,
    rng: Rng,
}

impl Crawl {
    /// The first round is due half a minute from now, if there are to be rounds.
    pub fn new(config: &config::Mesh, rng: Rng, now: Instant) -> Self {
        let mut crawl = Self {
            enabled: false,
            round: 0,
            queue: VecDeque::new(),
            flights: Vec::new(),
            token: 0,
            next_question: now,
            next_round: None,
            started: now,
            progress: Progress::default(),
            rng,
        };
        crawl.handle_config(config, now);
        crawl
    }

    /// Other times; begins or ends the rounds.
    pub fn handle_config(&mut self, config: &config::Mesh, now: Instant) {
        let enabled = config.enabled && config.crawl;
        if enabled && !self.enabled {
            self.next_round = Some(now + self.rng.jitter(FIRST));
        } else if !enabled {
            self.next_round = None;
            self.queue.clear();
            self.flights.clear();
            self.progress.running = false;
        }
        self.enabled = enabled;
        self.next_round = self.next_round.map(|at| at.min(now + config.crawl_interval));
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress { next: self.next_round, ..self.progress }
    }

    /// Questions that wait, and questions that were asked.
    pub fn sizes(&self) -> (usize, usize) {
        (self.queue.len(), self.flights.len())
    }

    /// Begins a round if it is due: everybody who is known is asked, the nearest first.
    pub fn begin_if_due(&mut self, graph: &mut Graph, own: Option<NodeId>, rules: Rules<'_>, now: Instant) {
        if self.progress.running || self.next_round.is_none_or(|at| at > now) {
            return;
        }
        self.next_round = None;
        self.round = self.round.saturating_add(1);
        self.started = now;
        let rounds = self.progress.rounds + 1;
        self.progress = Progress { rounds, running: true, took: self.progress.took, ..Progress::default() };
        let at_border = own.and_then(|own| graph.node(own)).is_some_and(|node| node.supernode);
        let known = |node: &Node| !at_border || node.evidence == Evidence::Local;
        let distance = |node: &Node| if node.metric == 0 { u16::MAX } else { node.metric };
        let mut seeds: Vec<(u16, NodeId)> =
            graph.nodes().filter(|(_, node)| known(node)).map(|(id, node)| (distance(node), id)).collect();
        seeds.sort_by_key(|(distance, _)| *distance);
        if let Some(visit) = own.and_then(|own| graph.visit(own)) {
            visit.round = self.round; // it knows itself
        }
        for (_, id) in seeds {
            self.join(graph, id, rules);
        }
    }

    /// A node joins the queue, if it is to be asked in this round and was not yet.
    pub fn join(&mut self, graph: &mut Graph, id: NodeId, rules: Rules<'_>) {
        let round = self.round;
        let Some(node) = graph.node(id).filter(|_| self.progress.running) else { return };
        let wanted = node.kind == Kind::Router && node.visit.round != round && node.visit.not_before <= round;
        let asked =
            wanted && name::may_be_fetched(node.name()) && !is_number(node.name()) && rules.is_inside(node.name());
        if let Some(visit) = graph.visit(id).filter(|_| asked) {
            visit.round = round;
            self.queue.push_back(Turn { id, left: None });
            self.progress.nodes = self.progress.nodes.saturating_add(1);
        }
    }

    /// The next question, when it is time for one.
    pub fn ask(&mut self, graph: &Graph, config: &config::Mesh, domain: &str, now: Instant) -> Option<(u32, Url)> {
        if !self.progress.running || self.flights.len() >= config.crawl_in_flight || self.next_question > now {
            return None;
        }
        loop {
            let turn = self.queue.pop_front()?;
            // Its place may have been taken since.
            let Some(node) = graph.node(turn.id).filter(|node| node.visit.round == self.round) else { continue };
            let remembered = if node.visit.url == KnownUrl::Old { KnownUrl::Old } else { KnownUrl::New };
            let url = turn.left.unwrap_or(remembered);
            return self.fly(turn, node.name(), url, config, domain, now);
        }
    }

    fn fly(
        &mut self,
        turn: Turn,
        name: &str,
        url: KnownUrl,
        config: &config::Mesh,
        domain: &str,
        now: Instant,
    ) -> Option<(u32, Url)> {
        let path = if url == KnownUrl::Old { OLD } else { NEW };
        let target = Url { host: format!("{name}.{domain}"), port: 80, path: path.to_owned() };
        let rate = u32::try_from(config.crawl_rate).ok()?;
        self.next_question = now + Duration::from_secs(1).checked_div(rate)?;
        self.token = self.token.wrapping_add(1);
        let until = now + config.crawl_timeout.saturating_add(GRACE);
        self.flights.push(Flight { token: self.token, turn, name: name.into(), url, until });
        self.progress.questions = self.progress.questions.saturating_add(1);
        Some((self.token, target))
    }

    /// The client has no place for the question; it waits.
    pub fn handle_busy(&mut self, token: u32, now: Instant) {
        if let Some(at) = self.flights.iter().position(|flight| flight.token == token) {
            self.queue.push_front(self.flights.swap_remove(at).turn);
            self.next_question = now + BUSY;
            self.progress.questions = self.progress.questions.saturating_sub(1);
        }
    }

    /// Who it was that a token stands for; `None`: nobody who is waited for and still known.
    pub fn landed(&mut self, token: u32, graph: &Graph) -> Option<Asked> {
        let at = self.flights.iter().position(|flight| flight.token == token)?;
        let Flight { turn, url, name, .. } = self.flights.swap_remove(at);
        let id = turn.id;
        graph.node(id).filter(|node| node.name() == &*name).map(|_| Asked { id, url, turn })
    }

    /// A node answered as it should. `url`: where it answers without a redirect.
    pub fn answered(&mut self, graph: &mut Graph, id: NodeId, url: KnownUrl) {
        self.progress.answered = self.progress.answered.saturating_add(1);
        if let Some(visit) = graph.visit(id) {
            *visit = super::graph::Visit { url, failures: 0, round: visit.round, not_before: 0 };
        }
    }

    /// A node that has no such page at one URL may have it at the other: it is asked once more. False: it was asked at both.
    pub fn try_other_url(&mut self, asked: Asked) -> bool {
        let other = if asked.url == KnownUrl::Old { KnownUrl::New } else { KnownUrl::Old };
        let first = asked.turn.left.is_none();
        if first {
            self.queue.push_front(Turn { id: asked.id, left: Some(other) });
        }
        first
    }

    /// A node did not answer, or with something else.
    pub fn failed(&mut self, graph: &mut Graph, id: NodeId) {
        self.progress.failed = self.progress.failed.saturating_add(1);
        if let Some(visit) = graph.visit(id) {
            // After the first failure the next round tries again; then every second, fourth, eighth.
            visit.not_before = self.round.saturating_add(1 << visit.failures.min(3));
            visit.failures = visit.failures.saturating_add(1);
            visit.url = KnownUrl::Unknown;
        }
    }

    /// Gives up answers that are overdue.
    pub fn give_up(&mut self, graph: &mut Graph, now: Instant) {
        while let Some(token) = self.flights.iter().find(|flight| flight.until <= now).map(|flight| flight.token) {
            if let Some(asked) = self.landed(token, graph) {
                self.failed(graph, asked.id);
            }
        }
    }

    /// Ends the round if nobody is left. True: it has ended now.
    pub fn end_if_done(&mut self, interval: Duration, now: Instant) -> bool {
        let done = self.progress.running && self.queue.is_empty() && self.flights.is_empty();
        if done {
            self.progress.running = false;
            self.progress.took = now.since(self.started);
            self.next_round = Some(now + self.rng.jitter(interval));
        }
        done
    }

    /// When something is due.
    pub fn next_deadline(&self, in_flight: usize) -> Option<Instant> {
        let question = (!self.queue.is_empty() && self.flights.len() < in_flight).then_some(self.next_question);
        let overdue = self.flights.iter().map(|flight| flight.until).min();
        sooner(self.next_round, sooner(question, overdue))
    }
}

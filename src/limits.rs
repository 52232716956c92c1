//! Every bound, with its reason. Nothing that the network can fill grows without one.

use std::time::Duration;

/// The largest UDP payload over IPv4 (65 535 less 28 bytes of headers): the buffer no datagram can overrun.
pub const DATAGRAM: usize = 65_507;

/// Header lines of one SIP message. Real messages have 10 to 40; a check of robustness sends a thousand and wants an
/// answer. The table grows to what was needed once: 10 bytes a line.
pub const SIP_HEADER_LINES: usize = 1_200;

/// Bytes of the user part of a SIP URI once its escapes are undone. Numbers have up to 15 digits, names rarely 30.
pub const SIP_USER: usize = 128;

/// Connections that the HTTP server holds at once: a few people's pages, a few scrapers.
pub const HTTP_CONNECTIONS: usize = 16;

/// The head of an HTTP request. Browsers send half a kilobyte.
pub const HTTP_REQUEST_HEAD: usize = 8 << 10;

/// The body of an HTTP request. Our API needs none at all.
pub const HTTP_REQUEST_BODY: usize = 64 << 10;

/// The head of an HTTP response, all header lines together; and all answers before it (100 Continue) together.
pub const HTTP_RESPONSE_HEAD: usize = 16 << 10;

/// Header lines of an HTTP message.
pub const HTTP_HEADER_LINES: usize = 64;

/// Downloads at once; each may hold a body of the size that its caller allows. The map asks at most 32 routers at once, so
/// that 4 places are left for the phonebook.
pub const HTTP_FETCHES: usize = 36;

/// Redirects that one download follows; browsers stop at 20, our servers need one.
pub const HTTP_REDIRECTS: u8 = 5;

/// Questions to name servers that wait for an answer. Calls ask for one name each; looks at presence are paced.
pub const DNS_QUESTIONS: usize = 64;

/// Askers that wait for an answer or have not yet fetched it.
pub const DNS_ASKERS: usize = 256;

/// Names whose answers are remembered, good or bad: a book's phones that are in no host file.
pub const DNS_CACHE: usize = 512;

/// Host files. Firmware before 4.26.7 has one for each node; the largest mesh seen had 1100 nodes.
pub const HOST_FILES: usize = 2_048;

/// Names in host files. The largest mesh seen had 3200 devices. An entry takes 16 bytes and its name.
pub const HOST_NAMES: usize = 10_000;

/// The bytes of all those names together, without the domain: 26 for each.
pub const HOST_NAME_BYTES: usize = 256 << 10;

/// Names of one file that are counted beyond [`HOST_NAMES`]; then it is read no further.
pub const HOST_LEFT_OUT: usize = 10_000;

/// Names above a name for which `*.` is looked up. Firmware announces `*.node`; a stranger may ask for a name of 120 labels.
pub const HOST_LEVELS: usize = 4;

/// A search in the book, in bytes: nobody types more, and every entry is compared with it.
pub const SEARCH_TEXT: usize = 100;

/// Bytes that may wait to be sent by the exchange. The shell empties it after every turn; a turn of 256 INVITEs of
/// 1 kB, each answered and passed on, writes about 400 kB.
pub const SIP_OUTBOX: usize = 512 << 10;

/// What the outbox keeps of its memory when it is empty: a usual turn, but not a burst.
pub const SIP_OUTBOX_KEPT: usize = 32 << 10;

/// Places in which sources are counted while the exchange is busy: as many phones ask within a second on a large mesh.
pub const SIP_SOURCES: usize = 512;
/// Bytes of a Call-ID that is remembered: in a binding, in the list of calls. Phones send 20 to 80; a longer one is legal, but
/// is neither registered nor shown.
pub const SIP_CALL_ID: usize = 256;

/// Bytes of a Contact that is registered. Phones behind a push service send 400, others 60.
pub const SIP_CONTACT: usize = 512;

/// Contacts in one REGISTER, and the most that one number may be allowed: an answer that lists them all is below 18 kB.
pub const SIP_CONTACTS: usize = 32;

/// Bytes of a display name or of what a phone says it is, for lists that people look at.
pub const SIP_SHOWN_NAME: usize = 64;

/// Bytes of the callee's host in the list of calls.
pub const SIP_SHOWN_HOST: usize = 64;

/// Bytes of the Reason of a CANCEL that is passed on. It is kept for every phone that rings and repeated to each; real ones have
/// 30 to 80, and one that is too long is left out.
pub const SIP_REASON: usize = 256;

/// Repeats of one request that are answered: a timer of RFC 3261 sends 10 at most. Each answer may be much larger than the
/// repeat that brings it.
pub const SIP_REPEATS: u8 = 16;

/// Bytes of Contacts in the answer to a REGISTER beyond those that it registers itself: ten ordinary ones. Whoever forges a
/// source makes us send them to somebody else.
pub const SIP_LISTED_CONTACTS: usize = 1_200;

/// Calls with the same Call-ID that are shown: as many phones of one number that answer at the same instant. It bounds the
/// search that a Call-ID sets off.
pub const SIP_CALLS_PER_CALL_ID: usize = 16;

/// Contacts from one address that are never displaced when the table is full: more than the phones behind one node, less
/// than what a broken phone or a load test registers.
pub const SIP_SPARED_CONTACTS: usize = 16;

/// The saved registrations and calls, in bytes: 512 contacts and 2000 calls take 1 MB.
pub const STATE_FILE: usize = 8 << 20;
/// Entries of one book. The largest one seen in the field has 226; a country's would still fit a phone's memory.
pub const BOOK_ENTRIES: usize = 5_000;

/// Cells of one book: [`BOOK_ENTRIES`] rows with 32 columns, most of them empty. A megabyte of commas would take fifty to be read.
pub const BOOK_CELLS: usize = 160_000;

/// Problems of one book that are kept to be shown; further ones are only counted.
pub const BOOK_PROBLEMS: usize = 100;

/// Characters of a cell that a problem quotes.
pub const BOOK_PROBLEM_TEXT: usize = 60;

/// Characters of a first or last name. Cisco phones show 64 for both together.
pub const BOOK_NAME: usize = 64;

/// Characters of a callsign with its suffixes (`HB9XYZ/P`).
pub const BOOK_CALLSIGN: usize = 16;

/// Digits of a number: E.164 has 15, plans of the mesh up to 10.
pub const BOOK_NUMBER: usize = 20;

/// Lines that one row may cover by line breaks in quoted cells; more is a quote that nobody closed.
pub const BOOK_ROW_LINES: usize = 20;

/// Unclosed quotes after which a book is read no further: each costs a second look at up to the whole rest.
pub const BOOK_BAD_QUOTES: usize = 10;

/// Bytes of the stored book: [`BOOK_ENTRIES`] with every field at its bound and four bytes a character still fit.
pub const BOOK_STORED: usize = 4 << 20;

/// Between two writes of the book to flash, which bears some ten thousand: anybody may have the book fetched every few seconds, and its
/// server may be anybody's. What is served and published waits for nothing.
pub const BOOK_REST: Duration = Duration::from_secs(1_800);

/// Servers of the phonebook; each costs a name look-up and a connection when those before it are down.
pub const BOOK_SERVERS: usize = 16;

/// Phones whose presence is asked for at once; the rest of the resolver's table stays free for calls.
pub const BOOK_PRESENCE: usize = 16;

/// A configuration file, ours or one to import. Real ones have 2 to 8 KB; 64 servers with long addresses still fit.
pub const CONFIG_FILE: usize = 128 << 10;
/// Datagrams received or sent by one system call. More would save little and keep 64 KiB each.
pub const DATAGRAM_BATCH: usize = 16;

/// Batches read from one socket before everything else gets its turn: a flood must not stop the API or the timers.
pub const BATCHES_PER_TURN: usize = 8;

/// A watched or asked-for file, in bytes: the host names of a mesh of 2 000 nodes fill about 500 KiB.
pub const FILE: usize = 4 << 20;

/// Bytes read from a stream at a time, and bytes that wait to be written on one.
pub const STREAM_CHUNK: usize = 16 << 10;

/// Streams open at once, in both directions: [`STREAMS_ACCEPTED`], [`HTTP_FETCHES`], babeld, and a few over the unix socket.
pub const STREAMS: usize = 68;

/// Streams that were accepted over TCP: 16 clients of the API, those that are told to come later, and those that are closing.
/// Whatever strangers do, the rest is left for downloads and for the CGI program.
pub const STREAMS_ACCEPTED: usize = 26;

/// Clients accepted from one listener before everything else gets its turn.
pub const ACCEPTED_PER_TURN: usize = 4;

/// Chunks read from one stream before everything else gets its turn: a request with its body and a little more.
pub const CHUNKS_PER_TURN: usize = 6;

/// Lines this program writes into the router's log within a minute: at 100 bytes each they leave most of the 64 KiB
/// to others.
pub const LOG_LINES_PER_MINUTE: u32 = 60;

/// Addresses of the node itself: a tunnel hub has a few hundred interfaces.
pub const OWN_ADDRESSES: usize = 1_024;

/// Files of one watched directory: one for each node of a large mesh.
pub const WATCHED_FILES: usize = 2_048;

/// Ready descriptors taken from the system at once.
pub const EVENTS: usize = 64;

/// Between two readings of the configuration that were asked for over TCP: each reads a file and writes a line into the log.
pub const RELOAD_REST: Duration = Duration::from_secs(5);

/// Of those lines, so many are left to warnings: strangers can bring about news, and must not silence what an operator should act
/// on.
pub const LOG_LINES_FOR_WARNINGS: u32 = 20;

/// Between two writes of registrations and calls into RAM, for the process after this one.
pub const STATE_INTERVAL: Duration = Duration::from_secs(5);

/// Between two writes of the tests of the phones: hundreds of kilobytes on a large mesh, and a cycle under way changes them
/// all the time.
pub const TESTS_INTERVAL: Duration = Duration::from_secs(5);

/// Between two writes of a list that the CGI program prints.
pub const LIST_INTERVAL: Duration = Duration::from_secs(1);

/// Before a failed write is tried again.
pub const WRITE_RETRY: Duration = Duration::from_secs(60);
/// SIP requests under way or remembered for repeats, whatever their size. The memory bound of the configuration is the real
/// one; this one keeps handles in 20 bits where that is set very high.
pub const SIP_CONTEXTS: usize = 1 << 20;

/// Phones that one request is sent to: as many as one number may have registered, and a few more from host files.
pub const SIP_BRANCHES: usize = 16;

/// Questions for addresses that wait to be picked up. Every one belongs to a request under way; the core fetches them at once.
pub const SIP_QUESTIONS: usize = 256;

/// What a client verb reads of the daemon's answer: the largest book allowed (16 MB) is about twice that as JSON.
pub const API_ANSWER: usize = 32 << 20;

/// How often one request may come through the exchange: a number that stands for another one that stands for another one.
pub const SIP_LAPS: u8 = 5;
/// Neighbours of one node: a tunnel hub has a hundred.
pub const MESH_NEIGHBOURS: usize = 256;

/// Addresses of one node's interfaces; a tunnel hub has one for each tunnel.
pub const MESH_INTERFACES: usize = 256;

/// Measurements of a link that are remembered.
pub const MESH_SAMPLES: usize = 10;

/// Different models and firmware versions that are remembered: about 120 devices and as many versions exist.
pub const MESH_WORDS: usize = 512;

/// In what steps it is remembered when a node or a link was last seen. It is shown, so a smaller step means that the map of a
/// mesh in which nothing happens is written more often.
pub const MESH_SEEN_STEP: Duration = Duration::from_secs(300);

/// Host files and services files together: one of each for each node of a large mesh.
pub const MESH_FILES: usize = 4_096;

/// Lines of the files about the node's own LAN that are looked at: it has 29 addresses at most.
pub const MESH_LAN_LINES: usize = 1_000;

/// Between two looks at what the files say, and at the ages of everything.
pub const MESH_LOOK: Duration = Duration::from_secs(60);

/// After a file changed, before it is looked at: its neighbours in the directory change with it.
pub const MESH_SETTLE: Duration = Duration::from_secs(2);

/// Between two writes of the map: the firmware measures every 30 seconds.
pub const MESH_WRITE: Duration = Duration::from_secs(15);

/// Before the first write of the map: by then the files were read and babeld has answered.
pub const MESH_FIRST_WRITE: Duration = Duration::from_secs(4);

/// How long babeld may take to tell its routes.
pub const BABEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A line of babeld; the longest real one has 250 bytes.
pub const BABEL_LINE: usize = 1_024;

/// What babeld may tell at once: 2 000 routes of 250 bytes, twice over.
pub const BABEL_ANSWER: usize = 1 << 20;

/// Findings that are listed; a mesh-wide one says how many there are more.
pub const MESH_FINDINGS: usize = 200;
/// Phones that are tested: as many as a book may have. A phone takes less than 400 bytes.
pub const PROBE_PHONES: usize = BOOK_ENTRIES;

/// Names of phones that are looked up for tests at once; the rest of the resolver's table stays free for calls.
pub const PROBE_QUESTIONS: usize = 16;

/// Probes that wait for an answer at once; the configuration may say less. One takes 80 bytes.
pub const PROBE_IN_FLIGHT: usize = 1_024;

/// Phones under test at once: at the highest rate and the usual spacing as many as a second begins with. One takes 250 bytes.
pub const PROBE_TESTS: usize = 1_024;

/// Routers on the ways to phones, each at each of its distances: a mesh of 2 000 nodes. One takes 60 bytes.
pub const PROBE_ROUTERS: usize = 4_096;

/// Tests and traces that people wait for at once.
pub const PROBE_LIVE: usize = 8;

/// Of those, so many that strangers wait for: the rest is for whoever controls the daemon.
pub const LIVE_STRANGERS: usize = 6;

/// Of those, so many that the node's web server waits for: it runs three programs at a time, for everybody.
pub const LIVE_CGI: usize = 2;

/// How long somebody waits for a test at most: 20 pings and 20 OPTIONS take 12 s at the usual spacing and timeout, a phone that
/// only says 100 is given up after 16 s.
pub const LIVE_WAIT: Duration = Duration::from_secs(20);

/// Pings and OPTIONS that somebody may ask for at once.
pub const LIVE_COUNT: u8 = 20;

/// Between two ring tests for people, whichever phones they are for.
pub const RING_REST: Duration = Duration::from_secs(30);

/// Packets of tests that wait to be sent. The shell empties it after every turn; the schedule puts in 60 ms of its rate.
pub const PROBE_OUTBOX: usize = 1_024;

/// Ring tests that are over, but whose phones may still say something: each is over 32 s after the other.
pub const PROBE_RINGS: usize = 8;

/// Phones of which is remembered when they were rung, so that they are left alone for a while.
pub const PROBE_RUNG: usize = 1_024;

/// So many packets of tests go out together, and meanwhile answers wait to be read together: waking up is most of what a packet costs.
/// Eight pings are 320 bytes; many more would wait for each other on a slow radio, and be measured so.
pub const PROBE_TOGETHER: u32 = 8;

/// The longest that packets and answers wait for that; half of it where so many packets are due that eight take less.
pub const PROBE_QUANTUM: Duration = Duration::from_millis(40);

/// ICMP messages read in one turn of the loop: the answers of 256 probes in flight.
pub const ICMP_PER_TURN: usize = 256;

/// How often within one moment engines may make each other due: a question, its answer, what follows from it. More is a
/// fault, and the loop goes on with the next moment.
pub const ROUNDS: usize = 16;

/// Events that the flight recorder keeps: some seconds of a busy exchange. One takes 48 bytes.
pub const FLIGHT_EVENTS: usize = 128;

/// Bytes of those events that are kept: the last 25 SIP messages. They are resident all the time.
pub const FLIGHT_BYTES: usize = 16 << 10;

/// Bytes that are kept of what is no datagram: the first lines of a request, the head of a download, the name of a file.
pub const FLIGHT_HEAD: usize = 512;

/// A crash record that is read: what the flight recorder holds, twice over.
pub const CRASH_RECORD: usize = 64 << 10;
/// Starts of the daemon that are remembered, to count those of a day: more than these are as bad.
pub const HEALTH_STARTS: usize = 64;

/// The file of starts: [`HEALTH_STARTS`] numbers of 20 digits and a name.
pub const STARTS_FILE: usize = 4 << 10;

/// Before the first report of the daemon's health: by then it has read its files.
pub const HEALTH_FIRST: Duration = Duration::from_secs(5);

/// Turns of the loop that took too long and are remembered with their cause.
pub const SLOW_TURNS: usize = 8;

/// A turn of the loop that takes longer is remembered: a phone repeats after half a second, and a ping measures every millisecond.
pub const SLOW_TURN: Duration = Duration::from_millis(100);

/// Processor time that a turn of the loop may use before the kernel ends the process: the largest book and the largest map take
/// the slowest router a few seconds.
pub const STALL: Duration = Duration::from_secs(30);

/// Between two times that this is begun anew.
pub const STALL_WIND: Duration = Duration::from_secs(5);

/// A turn that takes longer is worth a line in the log, one an hour.
pub const VERY_SLOW_TURN: Duration = Duration::from_secs(1);

/// Between two looks at whether every engine does its work.
pub const WATCH_LOOK: Duration = Duration::from_secs(60);

/// How long an engine may leave undone what was due before it is restarted: turns of the loop take milliseconds.
pub const WATCH_OVERDUE: Duration = Duration::from_secs(5);

/// An engine that left undone what was due is left alone for so long, or the loop would turn without a pause.
pub const WATCH_PAUSE: Duration = Duration::from_millis(100);

/// How long an engine may have work under way of which nothing is heard, or a table full that should drain. An INVITE may ring
/// for three minutes, a round of the map takes a few.
pub const WATCH_PATIENCE: Duration = Duration::from_secs(1_800);

/// An engine that does its work for so long after it was restarted was helped by it.
pub const WATCH_LASTS: Duration = Duration::from_secs(3_600);

/// After an engine was restarted, before it may be again; doubled each time that it did not help, up to [`WATCH_LONGEST_REST`].
pub const WATCH_REST: Duration = Duration::from_secs(60);

/// See [`WATCH_REST`].
pub const WATCH_LONGEST_REST: Duration = Duration::from_secs(6 * 3_600);

/// Restarts of the exchange itself that did not help, after which the process ends, so that the system starts another. For any
/// other engine that is never worth the calls that it costs.
pub const WATCH_VAIN: u32 = 3;

/// Before a report that the collector did not take is sent once more.
pub const COLLECTOR_RETRY: Duration = Duration::from_secs(10);

/// Between two reports because something happened; and after one that failed twice, doubled each time.
pub const COLLECTOR_REST: Duration = Duration::from_secs(300);

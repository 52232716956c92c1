//! The last words: what the process writes down when a signal or a panic ends it.
//!
//! Everything that the handler needs is prepared by [`watch`]: buffers, a stack of its own, a pipe, the name of the file. The
//! handler itself makes system calls that signal-safety(7) allows, and nothing else: no allocation, no lock, no formatting, no
//! index that could be out of bounds. It blocks every signal while it runs and is set for one signal only, so that a fault in
//! the handler ends the process at once: there is no loop. Then the signal takes its usual effect.
//!
//! The file is made anew (`O_EXCL`, `O_NOFOLLOW`, mode 0600): what stands at its name is unlinked first, never written to.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::fmt::{self, Write as _};
use std::mem::{MaybeUninit, zeroed};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::ptr::{addr_of_mut, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use super::frames::{Code, Registers, backtrace};
use crate::core::flight::Flight;
use crate::time::Instant;
use crate::wire::crash::{Record, TEXT};

/// The signals that end a process because of its own fault; SIGPROF is that of `stall.rs`. A panic of the programs for routers
/// is a trap: SIGTRAP on mips and aarch64, SIGILL on armv7 and x86_64.
const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGABRT, libc::SIGILL, libc::SIGTRAP, libc::SIGPROF];

/// Bytes of a path, with the zero at its end.
const PATH: usize = 4_096;

/// The stack that the handler runs on; of the rest of it no page is touched. Signal frames of some processors need 11 KB.
const STACK: usize = 64 << 10;

/// What the handler gathers before it writes.
const OUT: usize = 4 << 10;

/// How far back the processor time is looked at.
const CPU_SPAN_US: u64 = 10_000_000;

/// Memory that the main thread fills before there is a handler, and that the handler then uses alone.
struct Prepared<T>(UnsafeCell<T>);

// SAFETY: the process has one thread. The handler interrupts it and never returns to it; `watch` and `set_path`, which write, run
// in the main thread alone.
unsafe impl<T> Sync for Prepared<T> {}

struct Desk {
    path: [u8; PATH],
    record: Record<'static>,
    code: Code,
    page_kb: u64,
    /// Processor time at two moments, the later one first: (monotonic, processor), in microseconds.
    cpu: [(u64, u64); 2],
    out: [u8; OUT],
    used: usize,
}

static DESK: Prepared<MaybeUninit<Desk>> = Prepared(UnsafeCell::new(MaybeUninit::uninit()));
static ALTERNATE: Prepared<[u8; STACK]> = Prepared(UnsafeCell::new([0; STACK]));
static MESSAGE: Prepared<Message> = Prepared(UnsafeCell::new(Message { text: [0; TEXT], length: 0 }));

/// Set while there is a core whose recorder can be read.
static FLIGHT: AtomicPtr<Flight> = AtomicPtr::new(null_mut());
static PREPARED: AtomicBool = AtomicBool::new(false);
static DYING: AtomicBool = AtomicBool::new(false);
/// Where the stack was when a panic began; 0: there was none.
static PANIC_STACK: AtomicUsize = AtomicUsize::new(0);
/// For the search of the stack: it keeps two descriptors for the moment in which all others may be used up.
static PIPE: [AtomicI32; 2] = [AtomicI32::new(-1), AtomicI32::new(-1)];

/// The text of a panic, as much as fits.
struct Message {
    text: [u8; TEXT],
    length: usize,
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(place) = self.text.get_mut(self.length) else { return Ok(()) };
            *place = byte;
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}

/// From now on, a crash is written to `path`.
pub fn watch(path: &Path, boot_id: &'static str, now: Instant) {
    let mut pipe = [0; 2];
    // SAFETY: called once, before there is a handler; the array has room for both descriptors, and sysconf takes no pointer.
    unsafe {
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) == 0 {
            for (place, fd) in PIPE.iter().zip(pipe) {
                place.store(fd, Ordering::Relaxed);
            }
        }
        let code = Code::of_this_program();
        let record = Record {
            started_us: now.as_micros(),
            boot_id,
            version: env!("CARGO_PKG_VERSION"),
            machine: std::env::consts::ARCH,
            bias: code.bias as u64,
            ..Record::default()
        };
        let page_kb = u64::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4_096) / 1_024;
        let cpu = [(now.as_micros(), cpu_us()); 2];
        (*DESK.0.get()).write(Desk { path: [0; PATH], record, code, page_kb, cpu, out: [0; OUT], used: 0 });
    }
    PREPARED.store(true, Ordering::Release);
    set_path(path);
    std::panic::set_hook(Box::new(on_panic));
    // SAFETY: the stack is static and used by the handler alone; the structures are plain data, filled before they are given to
    // the kernel; `on_signal` has the type that SA_SIGINFO asks for.
    unsafe {
        let stack = libc::stack_t { ss_sp: ALTERNATE.0.get().cast(), ss_flags: 0, ss_size: STACK };
        libc::sigaltstack(&stack, null_mut());
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
        libc::sigfillset(&mut action.sa_mask);
        for signal in FATAL {
            libc::sigaction(signal, &action, null_mut());
        }
    }
}

/// Another file from now on; an empty path: none.
pub fn set_path(path: &Path) {
    if !PREPARED.load(Ordering::Acquire) {
        return;
    }
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: `watch` has filled it; only the main thread, which this is, writes.
    let place = unsafe { &mut (*DESK.0.get()).assume_init_mut().path };
    place.fill(0);
    if let Some(place) = place.get_mut(..bytes.len()).filter(|_| bytes.len() < PATH) {
        place.copy_from_slice(bytes);
    }
}

/// Where the core keeps its recorder, as long as it does.
pub fn set_flight(flight: Option<&Flight>) {
    FLIGHT.store(flight.map_or(null_mut(), |flight| std::ptr::from_ref(flight).cast_mut()), Ordering::Release);
}

/// Notes how much processor time there was until now, for the share of the last seconds; called about once a second.
pub fn look_at_cpu(now: Instant) {
    if !PREPARED.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: as in `set_path`.
    let cpu = unsafe { &mut (*DESK.0.get()).assume_init_mut().cpu };
    if now.as_micros().saturating_sub(cpu[0].0) >= CPU_SPAN_US {
        *cpu = [(now.as_micros(), cpu_us()), cpu[0]];
    }
}

/// Keeps what it says, and makes a signal of it: also where a panic would unwind.
fn on_panic(panic: &PanicHookInfo<'_>) {
    let here = 0_usize;
    PANIC_STACK.store(std::ptr::from_ref(std::hint::black_box(&here)) as usize, Ordering::Release);
    // SAFETY: the one thread that there is; the handler reads it after `abort`.
    let message = unsafe { &mut *MESSAGE.0.get() };
    if message.length == 0 {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic");
        if let Some(place) = panic.location() {
            let _ = write!(message, "{}:{}: ", place.file(), place.line());
        }
        let _ = message.write_str(text);
        put(libc::STDERR_FILENO, b"switchboard: panic: ");
        put(libc::STDERR_FILENO, message.text.get(..message.length).unwrap_or_default());
        put(libc::STDERR_FILENO, b"\n");
    }
    // SAFETY: abort takes nothing and does not return.
    unsafe { libc::abort() }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if !DYING.swap(true, Ordering::AcqRel) && PREPARED.load(Ordering::Acquire) {
        // SAFETY: `watch` has filled it, and the thread that this interrupts will not run again.
        let desk = unsafe { (*DESK.0.get()).assume_init_mut() };
        // SAFETY: the kernel's arguments, which are null or what SA_SIGINFO says.
        unsafe {
            if let Some(info) = info.as_ref() {
                desk.record.code = u64::from(info.si_code as u32);
                if ![libc::SIGABRT, libc::SIGPROF].contains(&signal) && info.si_code > 0 {
                    desk.record.fault_address = info.si_addr() as u64;
                }
            }
            last_words(desk, signal, Registers::of(context));
        }
    }
    // SAFETY: all are in the list of signal-safety(7), and the set is filled before it is used. The signal waits until it is let
    // through; then it ends us, unless we are process 1 of a container, to which the kernel lets no such signal through.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        let mut alone: libc::sigset_t = zeroed();
        libc::sigemptyset(addr_of_mut!(alone));
        libc::sigaddset(addr_of_mut!(alone), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, addr_of_mut!(alone), null_mut());
        libc::_exit(128 + signal);
    }
}

/// Crashes on purpose, for tests: in debug builds, when a line of the log holds a text. `SWITCHBOARD_PLANT=KIND:TEXT`.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
pub fn planted(line: &[u8]) {
    let Ok(plant) = std::env::var("SWITCHBOARD_PLANT") else { return };
    let Some((kind, text)) = plant.split_once(':') else { return };
    if !line.windows(text.len()).any(|window| window == text.as_bytes()) {
        return;
    }
    TRIP.store(kind == "twice", Ordering::Release);
    match kind {
        "panic" => panic!("planted: {}", "x".repeat(1_000)),
        "deep" => drop(dig(&[0; 1_000])),
        "hang" => hang(),
        _ => fault(),
    }
}

#[cfg(debug_assertions)]
static TRIP: AtomicBool = AtomicBool::new(false);

#[cfg(any(debug_assertions, test))]
fn fault() {
    let nowhere = std::hint::black_box(8_usize) as *mut u32;
    // SAFETY: none; this is the fault.
    unsafe { nowhere.write_volatile(0) }
}

/// An engine that never returns, with less patience than usual.
#[cfg(debug_assertions)]
fn hang() -> ! {
    super::stall::Stall::new(std::time::Duration::from_secs(1)).turned(super::clock::now());
    loop {
        std::hint::spin_loop();
    }
}

/// Without end: the stack runs out.
#[cfg(debug_assertions)]
#[allow(unconditional_recursion)]
fn dig(hole: &[u8; 1_000]) -> u8 {
    let deeper = std::hint::black_box(*hole);
    dig(&deeper).wrapping_add(deeper[1])
}

/// Gathers and writes.
fn last_words(desk: &mut Desk, signal: c_int, mut registers: Registers) {
    #[cfg(debug_assertions)]
    if TRIP.load(Ordering::Acquire) {
        fault();
    }
    let pipe = [PIPE[0].load(Ordering::Relaxed), PIPE[1].load(Ordering::Relaxed)];
    let panicked = PANIC_STACK.load(Ordering::Acquire);
    if panicked != 0 {
        // Where the panic was, not where abort(3) is.
        registers = Registers { stack: panicked, ..Registers::default() };
    }
    // SAFETY: the recorder lives as long as it is in FLIGHT, and the code that fills it does not run any more; its reader takes
    // whatever it finds for what it is. The message was filled before abort(3).
    let (flight, message) = unsafe { (FLIGHT.load(Ordering::Acquire).as_ref(), &*MESSAGE.0.get()) };
    let (at_us, cpu) = (micros(libc::CLOCK_MONOTONIC), cpu_us());
    let (since, before) = desk.cpu[1];
    let record = &mut desk.record;
    record.signal = signal as u64;
    record.at_us = at_us;
    record.stack = registers.stack as u64;
    record.frames = backtrace(registers, &desk.code, pipe);
    record.cpu_permille =
        cpu.saturating_sub(before).saturating_mul(1_000).checked_div(at_us.saturating_sub(since)).unwrap_or(0);
    record.message = std::str::from_utf8(message.text.get(..message.length).unwrap_or_default()).unwrap_or_default();
    if let Some(flight) = flight {
        let doing = flight.doing();
        (record.engine, record.operation, record.size) = (doing.engine, doing.operation, u64::from(doing.size));
        (record.calls, record.registrations) = (doing.calls as u64, doing.registrations as u64);
    }
    for fd in pipe {
        // SAFETY: close takes a number. It makes room for the file.
        unsafe { libc::close(fd) };
    }
    record.memory_kb = resident_pages().saturating_mul(desk.page_kb);
    if desk.path[0] == 0 {
        return;
    }
    // SAFETY: the path ends with a zero: `set_path` takes no longer one.
    let file = unsafe {
        libc::unlink(desk.path.as_ptr().cast());
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        libc::open(desk.path.as_ptr().cast(), flags, 0o600)
    };
    if file < 0 {
        return;
    }
    let (out, used) = (&mut desk.out, &mut desk.used);
    let mut gather = |piece: &[u8]| {
        for byte in piece {
            if *used == OUT {
                put(file, out);
                *used = 0;
            }
            if let Some(place) = out.get_mut(*used) {
                *place = *byte;
                *used = used.saturating_add(1);
            }
        }
    };
    record.emit(&mut gather);
    for event in flight.into_iter().flat_map(Flight::events) {
        event.emit(&mut gather);
    }
    put(file, desk.out.get(..desk.used).unwrap_or_default());
}

/// Writes all of it, if that can be done.
fn put(file: c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: write(2) reads the slice and nothing else.
        let written = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
        let Some(rest) = usize::try_from(written).ok().filter(|n| *n > 0).and_then(|n| bytes.get(n..)) else { return };
        bytes = rest;
    }
}

/// The second number of `/proc/self/statm`.
fn resident_pages() -> u64 {
    let mut text = [0_u8; 64];
    // SAFETY: the name ends with a zero; read(2) writes into the array alone.
    let length = unsafe {
        let file = libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        usize::try_from(length).unwrap_or(0)
    };
    let second = text.get(..length).unwrap_or_default().split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let digits = second.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |pages: u64, digit| pages.saturating_mul(10).saturating_add(u64::from(digit & 15)))
}

fn cpu_us() -> u64 {
    micros(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn micros(clock: libc::clockid_t) -> u64 {
    // SAFETY: a timespec is plain data, and clock_gettime(2) fills it.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(clock, addr_of_mut!(time));
        time
    };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_nsec / 1_000).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::*;
    use crate::core::event::{Event, Udp};

    /// Lets a child crash; the handler alone, so that this also runs on an emulated router.
    fn crash(name: &str, how: fn()) -> (c_int, Vec<u8>) {
        crash_after(1, name, how)
    }

    /// The same after so many datagrams.
    fn crash_after(datagrams: usize, name: &str, how: fn()) -> (c_int, Vec<u8>) {
        let path = std::env::temp_dir().join(format!("switchboard-crash-{name}-{}", std::process::id()));
        // SAFETY: the child runs the code below, which ends by a signal, and nothing else of this process.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut flight = Flight::default();
            let here = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5_060);
            let event =
                Event::Datagram { socket: Udp::Sip, source: here, local: here, ttl: None, at: None, bytes: b"OPTIONS" };
            for _ in 0..datagrams {
                flight.record(&event, Instant::from_micros(micros(libc::CLOCK_MONOTONIC)));
            }
            watch(&path, "boot", Instant::from_micros(micros(libc::CLOCK_MONOTONIC) - 5_000_000));
            set_flight(Some(&flight));
            // Another configuration has another place for it, a longer name or one that is too long, and then this one again.
            for other in ["/nowhere/at/all/".repeat(9), "x".repeat(PATH)] {
                set_path(Path::new(&other));
            }
            set_path(&path);
            how();
            // SAFETY: takes a number.
            unsafe { libc::_exit(0) }
        }
        let mut status = 0;
        // SAFETY: the child's own number, and a place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        let bytes = std::fs::read(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        assert!(libc::WIFSIGNALED(status), "{status:#x}");
        (libc::WTERMSIG(status), bytes)
    }

    #[test]
    fn a_fault_is_written_down_with_the_place_and_what_came_before() {
        let (signal, bytes) = crash("fault", fault);
        assert_eq!(signal, libc::SIGSEGV);
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.signal, record.fault_address), (11, 8));
        assert_eq!((record.engine, record.operation, record.size), ("sip", "SIP datagram", 7));
        assert_eq!((record.boot_id, record.machine), ("boot", std::env::consts::ARCH));
        assert!(record.memory_kb > 100 && record.at_us >= record.started_us + 5_000_000, "{record:?}");
        // The fault, and the function that called it.
        let within = |frame: &u64, function: usize| (function as u64..function as u64 + 600).contains(frame);
        assert!(within(&record.frames[0], fault as *const () as usize), "{:#x?}", record.frames);
        let caller = crash as *const () as usize;
        assert!(record.frames[1..].iter().any(|f| (caller as u64..caller as u64 + 8_000).contains(f)), "{record:#x?}");
        let events: Vec<_> = record.flight().map(|flown| flown.bytes).collect();
        assert_eq!(events, [b"OPTIONS"]);
    }

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_is_written_down_with_what_it_says() {
        let (signal, bytes) = crash("panic", || panic!("what {}", 42));
        assert_eq!(signal, libc::SIGABRT);
        let record = Record::parse(&bytes).unwrap();
        assert!(record.message.ends_with(": what 42"), "{}", record.message);
        assert!(record.frames.len() > 2);
    }

    #[test]
    fn a_record_that_is_longer_than_what_is_gathered_is_whole() {
        let (_, bytes) = crash_after(crate::limits::FLIGHT_EVENTS, "long", fault);
        assert!(bytes.len() > OUT, "{}", bytes.len());
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.flight().count(), crate::limits::FLIGHT_EVENTS);
        assert!(record.flight().all(|flown| flown.bytes == b"OPTIONS"));
    }

    #[test]
    fn a_place_whose_name_is_too_long_is_none() {
        let (_, bytes) = crash("nowhere", || {
            set_path(Path::new(&"/x".repeat(PATH)));
            fault();
        });
        assert_eq!(bytes, b"");
    }

    #[test]
    fn a_process_without_a_descriptor_left_still_writes() {
        let (signal, bytes) = crash("full", || {
            // SAFETY: the child's own descriptors, all that it may have.
            unsafe {
                let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                while libc::dup(0) >= 0 {}
            }
            fault();
        });
        assert_eq!(signal, libc::SIGSEGV);
        let record = Record::parse(&bytes).unwrap();
        assert!(record.frames.len() > 1 && record.memory_kb > 100);
    }
}

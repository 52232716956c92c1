//! Where the program was when a signal came, as far as it can be said without unwind tables.
//!
//! Programs for routers have neither tables nor frame pointers. So the stack is searched for words that can be return
//! addresses: they lie in the program's own code, and the instruction before them is a call. A word that an earlier call left
//! behind can be among them; whoever reads a list of ten sees that. Everything here may run in the handler of a signal: it
//! neither allocates nor locks, and memory that may not be there is read by the kernel (`write(2)` answers EFAULT), not by us.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::size_of;

#[cfg(target_pointer_width = "32")]
use libc::{Elf32_Ehdr as FileHeader, Elf32_Phdr as Segment};
#[cfg(target_pointer_width = "64")]
use libc::{Elf64_Ehdr as FileHeader, Elf64_Phdr as Segment};

use crate::wire::crash::Frames;

const WORD: usize = size_of::<usize>();

/// How much of the stack is searched: a function that reads from a stream has a buffer of 16 KiB in its frame.
const SEARCHED: usize = 64 << 10;

/// What the kernel copies for us at once: a pipe takes it whole or not at all.
const PIECE: usize = 512;

/// `e_type` of a program that may be put anywhere.
const ET_DYN: u16 = 3;

/// Where the program's code is.
#[derive(Clone, Copy, Default)]
pub struct Code {
    start: usize,
    end: usize,
    /// What the addresses of this run have in front of those in the program's file.
    pub bias: usize,
}

/// The registers that say where the program was.
#[derive(Clone, Copy, Default)]
pub struct Registers {
    /// The instruction.
    pub pc: usize,
    /// Where the innermost function returns to, on processors that keep that in a register.
    pub link: usize,
    /// The stack.
    pub stack: usize,
}

impl Code {
    /// Asks the kernel where it put the program.
    pub fn of_this_program() -> Self {
        // SAFETY: the kernel says where the program's segments are listed and how many there are; the list is mapped as long as
        // the program runs, and so is the header of the file, which stands before it in the same page.
        let (segments, header) = unsafe {
            let first = libc::getauxval(libc::AT_PHDR) as *const Segment;
            let count = usize::try_from(libc::getauxval(libc::AT_PHNUM)).unwrap_or(0);
            if first.is_null() || count > 64 {
                return Self::default();
            }
            (std::slice::from_raw_parts(first, count), first.cast::<FileHeader>().sub(1))
        };
        // SAFETY: as above; it is looked at only if it begins as such a header does.
        let bias = unsafe {
            let is_header = (*header).e_ident.starts_with(b"\x7fELF");
            if is_header && (*header).e_type == ET_DYN { header as usize } else { 0 }
        };
        let code = segments.iter().find(|segment| segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_X != 0);
        let (start, size) = code.map_or((0, 0), |code| (code.p_vaddr as usize, code.p_memsz as usize));
        let start = start.wrapping_add(bias);
        Self { start, end: start.wrapping_add(size), bias }
    }

    fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether a function returns there: the instruction before it is a call.
    fn returns_to(&self, address: usize) -> bool {
        if !self.contains(address) || !self.contains(address.wrapping_sub(8)) {
            return false;
        }
        // SAFETY: these eight bytes lie within the program's code, which is mapped and may be read.
        let before = unsafe { (address.wrapping_sub(8) as *const [u8; 8]).read_unaligned() };
        is_call(before)
    }
}

/// Whether the last of these bytes are an instruction that calls a function and returns behind them.
#[cfg(target_arch = "x86_64")]
fn is_call(before: [u8; 8]) -> bool {
    // CALL rel32 is E8 and four bytes; CALL r/m64 is FF, with 2 in the middle of the next byte, two to seven in all.
    let indirect = |pair: &[u8]| matches!(pair, [0xff, operand] if operand >> 3 & 7 == 2);
    before[3] == 0xe8 || before.windows(2).skip(1).any(indirect)
}

#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
fn is_call([a, b, c, d, ..]: [u8; 8]) -> bool {
    // The call and its delay slot: JAL, BGEZAL, JALR.
    let word = u32::from_ne_bytes([a, b, c, d]);
    word >> 26 == 3 || (word >> 26 == 1 && word >> 16 & 31 == 17) || (word >> 26 == 0 && word & 63 == 9)
}

#[cfg(target_arch = "arm")]
fn is_call([.., a, b, c, d]: [u8; 8]) -> bool {
    // BL, BLX (register).
    let word = u32::from_ne_bytes([a, b, c, d]);
    word >> 24 & 15 == 11 || word & 0x0fff_fff0 == 0x012f_ff30
}

#[cfg(target_arch = "aarch64")]
fn is_call([.., a, b, c, d]: [u8; 8]) -> bool {
    // BL, BLR.
    let word = u32::from_ne_bytes([a, b, c, d]);
    word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "arm",
    target_arch = "aarch64"
)))]
fn is_call(_: [u8; 8]) -> bool {
    true
}

impl Registers {
    /// Those that the kernel saved when the signal came.
    ///
    /// # Safety
    /// `context` is the third argument of a handler that was set with `SA_SIGINFO`.
    pub unsafe fn of(context: *const c_void) -> Self {
        if context.is_null() {
            return Self::default();
        }
        // SAFETY: the caller's promise; on Linux it is an ucontext_t.
        unsafe { registers(context) }
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn registers(context: *const c_void) -> Registers {
    // SAFETY: see `Registers::of`.
    let general = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let [pc, stack] = [libc::REG_RIP, libc::REG_RSP].map(|which| {
        let value = usize::try_from(which).ok().and_then(|which| general.get(which));
        value.map_or(0, |value| *value as usize)
    });
    Registers { pc, link: 0, stack }
}

#[cfg(target_arch = "aarch64")]
unsafe fn registers(context: *const c_void) -> Registers {
    // SAFETY: see `Registers::of`.
    let saved = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    Registers { pc: saved.pc as usize, link: saved.regs[30] as usize, stack: saved.sp as usize }
}

#[cfg(target_arch = "arm")]
unsafe fn registers(context: *const c_void) -> Registers {
    // SAFETY: see `Registers::of`.
    let saved = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    Registers { pc: saved.arm_pc as usize, link: saved.arm_lr as usize, stack: saved.arm_sp as usize }
}

/// `struct ucontext` of the kernel's o32 ABI, which libc does not know: flags, link and stack (20 bytes), then `sigcontext` at a
/// multiple of 8: mask and status, the instruction, 32 registers of 64 bits each.
#[cfg(target_arch = "mips")]
unsafe fn registers(context: *const c_void) -> Registers {
    #[repr(C)]
    struct Context {
        head: [u32; 6],
        mask_and_status: [u32; 2],
        pc: u64,
        general: [u64; 32],
    }
    // SAFETY: see `Registers::of`; the kernel's structure is longer than this part of it.
    let saved = unsafe { &*context.cast::<Context>() };
    Registers { pc: saved.pc as usize, link: saved.general[31] as usize, stack: saved.general[29] as usize }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "mips", target_arch = "arm", target_arch = "aarch64")))]
unsafe fn registers(_: *const c_void) -> Registers {
    Registers::default()
}

/// The instruction, and from where it was called.
pub fn backtrace(registers: Registers, code: &Code, pipe: [c_int; 2]) -> Frames {
    let mut frames = Frames::new();
    if registers.pc != 0 {
        let _ = frames.push(registers.pc as u64);
    }
    if code.returns_to(registers.link) {
        let _ = frames.push(registers.link as u64);
    }
    let mut at = registers.stack & !(WORD - 1);
    let end = at.saturating_add(SEARCHED);
    let mut piece = [0_u8; PIECE];
    while at < end && !frames.is_full() {
        // Up to the next multiple: at its end the stack may end too.
        let length = PIECE - at % PIECE;
        let Some(there) = piece.get_mut(..length) else { break };
        if !read(at, there, pipe) {
            break;
        }
        for word in there.chunks_exact(WORD) {
            let Ok(word) = word.try_into().map(usize::from_ne_bytes) else { continue };
            let known = frames.last() == Some(&(word as u64));
            if code.returns_to(word) && !known && frames.push(word as u64).is_err() {
                break;
            }
        }
        at = at.wrapping_add(length);
    }
    frames
}

/// Copies memory that may not be there: through a pipe, so that the kernel finds that out.
fn read(address: usize, to: &mut [u8], [out, into]: [c_int; 2]) -> bool {
    // SAFETY: write(2) reads the memory in the kernel and fails with EFAULT if there is none; read(2) writes into `to` alone.
    unsafe {
        let written = libc::write(into, address as *const c_void, to.len());
        let read = if written > 0 { libc::read(out, to.as_mut_ptr().cast(), to.len()) } else { 0 };
        usize::try_from(read) == Ok(to.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> [c_int; 2] {
        let mut pipe = [0; 2];
        // SAFETY: the array has room for both.
        assert_eq!(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) }, 0);
        pipe
    }

    #[inline(never)]
    fn inner(code: &Code, pipe: [c_int; 2]) -> Frames {
        let here = 0_usize;
        let stack = std::hint::black_box(&here) as *const usize as usize;
        backtrace(Registers { stack, ..Registers::default() }, code, pipe)
    }

    #[inline(never)]
    fn outer(code: &Code, pipe: [c_int; 2]) -> Frames {
        let frames = inner(code, pipe);
        std::hint::black_box(frames)
    }

    #[test]
    fn callers_are_found_on_the_stack() {
        let code = Code::of_this_program();
        assert!(code.contains(outer as *const () as usize) && code.contains(inner as *const () as usize));
        let frames = outer(&code, pipe());
        let function = outer as *const () as usize as u64;
        assert!(
            frames.iter().any(|frame| (function..function + 300).contains(frame)),
            "{function:#x} is not in {frames:#x?}"
        );
        assert!(!code.returns_to(outer as *const () as usize), "a function begins where no call is before");
    }

    #[test]
    fn a_stack_that_is_not_there_is_no_fault() {
        let code = Code::of_this_program();
        for stack in [0, 8, 4_096, usize::MAX - 64, usize::MAX] {
            let frames = backtrace(Registers { pc: 0x77, link: 0x99, stack }, &code, pipe());
            assert_eq!(frames, [0x77]);
        }
    }
}

//! What the kernel says of a process in `/proc/PID/status` (proc_pid_status(5)).

/// Resident memory, and how much of it is no page of a file, in kB. Kernels before 4.5 say only the first; then all of it may be
/// what cannot be read again.
pub fn memory(status: &[u8]) -> (u32, u32) {
    let resident = kilobytes(status, b"VmRSS:").unwrap_or(0);
    (resident, kilobytes(status, b"RssAnon:").unwrap_or(resident))
}

/// The number of a line `<name>  1234 kB`.
fn kilobytes(status: &[u8], name: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line.trim_ascii().strip_suffix(b" kB")?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_found_in_the_kernels_words() {
        let status =
            b"Name:\tswitchboard\nVmPeak:\t    2044 kB\nVmRSS:\t    1212 kB\nRssAnon:\t     388 kB\nThreads:\t1\n";
        assert_eq!(memory(status), (1_212, 388));
        assert_eq!(memory(b"VmRSS:\t    1212 kB\n"), (1_212, 1_212), "an old kernel");
        for nothing in
            [&b""[..], b"VmRSS:", b"VmRSS:\t kB\n", b"VmRSS:\t99999999999 kB\n", b"VmRSS:\t1 MB\n", b"\xff\xfe"]
        {
            assert_eq!(memory(nothing), (0, 0));
        }
    }
}

//! seccomp(2).

use std::io;

/// `SECCOMP_SET_MODE_FILTER` of `linux/seccomp.h`.
const SET_MODE_FILTER: libc::c_uint = 1;

/// Puts a filter on the calling thread; it stays for ever and is inherited.
///
/// # Errors
/// `EACCES` without no-new-privs (and without `CAP_SYS_ADMIN`), `EINVAL` for a malformed program.
pub fn set_mode_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let header = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `header` points to `len` initialised instructions that the borrow of `program` keeps alive during the
    // call; the kernel only reads them and keeps a copy. Flags are 0, so no descriptor comes back.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const header) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;

    /// A call with six zeros as arguments, for calls that take none or that a filter refuses.
    pub(crate) fn bare_call(number: i64) -> io::Result<i64> {
        // SAFETY: every argument is 0, so a call that takes a pointer gets a null pointer and cannot touch memory; the
        // tests only pass numbers without side effects on descriptors.
        let result = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }
}

//! Random bytes from the kernel.

/// 32 bytes of `getrandom(2)`.
///
/// # Errors
/// Only if the kernel has no `getrandom`.
pub fn bytes32() -> crate::Result<[u8; 32]> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| crate::SysError::new("getrandom", "", errno))?;
    Ok(bytes)
}

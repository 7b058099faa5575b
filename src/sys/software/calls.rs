//! What a system call has answered, as a completion says it.

/// A result, or a negated error number.
pub(super) fn answer(returned: i64) -> i32 {
    match returned {
        0.. => returned.min(i64::from(i32::MAX)) as i32,
        _ => -std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    }
}

/// Makes the call; once more, if a signal has interrupted it.
pub(super) fn uninterrupted(mut call: impl FnMut() -> i64) -> i32 {
    loop {
        match answer(call()) {
            result if result == -libc::EINTR => {}
            result => return result,
        }
    }
}

//! Sockets that are non-blocking for as long as an operation wants it, whose call has no flag for that.
//!
//! It is a property of the socket, which several rings of the process may share (each has cloned a listener, say): who lets go of
//! it must not make another's accept wait for good. So it is counted for the process, by socket.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};

/// How many operations want a socket so, and whether it is only for them.
#[derive(Default)]
struct Held {
    operations: u32,
    unblocked: bool,
}

/// By device and number.
static HELD: Mutex<BTreeMap<(u64, u64), Held>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<(u64, u64), Held>> {
    // Nothing that panics happens under it.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::unnecessary_cast)] // They are smaller on some machines.
fn socket_id(file: BorrowedFd<'_>) -> rustix::io::Result<(u64, u64)> {
    let stat = fstat(file)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

/// Makes a socket non-blocking, until as many have called [`release`].
///
/// # Errors
///
/// Those of fcntl(2) and fstat(2), as a result.
pub(super) fn hold(socket: BorrowedFd<'_>) -> Result<(), i32> {
    let result = |error: rustix::io::Errno| -error.raw_os_error();
    let id = socket_id(socket).map_err(result)?;
    let mut all = held();
    let unblocked = unblock(socket).map_err(result)?;
    let one = all.entry(id).or_default();
    one.operations += 1;
    one.unblocked |= unblocked;
    Ok(())
}

/// Sees to it that a socket which is held is still non-blocking: its owner may have changed that.
///
/// # Errors
///
/// As for [`hold`].
pub(super) fn hold_on(socket: BorrowedFd<'_>) -> Result<(), i32> {
    match unblock(socket) {
        Ok(_) => Ok(()),
        Err(error) => Err(-error.raw_os_error()),
    }
}

/// Undoes [`hold`].
pub(super) fn release(socket: BorrowedFd<'_>) {
    let Ok(id) = socket_id(socket) else { return };
    let mut all = held();
    let Some(one) = all.get_mut(&id) else { return };
    one.operations -= 1;
    if one.operations > 0 {
        return;
    }
    let unblocked = one.unblocked;
    all.remove(&id);
    if unblocked {
        if let Ok(flags) = fcntl_getfl(socket) {
            // What it was before, which was allowed.
            let _ = fcntl_setfl(socket, flags - OFlags::NONBLOCK);
        }
    }
}

/// Makes a socket blocking, which some came to be used here are not: at once, or when the last operation lets go of it that needs
/// it to be otherwise. (With a thread in accept(2) that waits for good a ring of another thread did not turn any more.)
///
/// # Errors
///
/// Those of fcntl(2) and fstat(2).
pub(crate) fn make_blocking(socket: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(socket)?;
    if !flags.contains(OFlags::NONBLOCK) {
        return Ok(());
    }
    let id = socket_id(socket)?;
    let mut all = held();
    match all.get_mut(&id) {
        Some(one) => one.unblocked = true,
        None => fcntl_setfl(socket, flags - OFlags::NONBLOCK)?,
    }
    Ok(())
}

/// Makes a socket non-blocking; whether it was not.
fn unblock(socket: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let flags = fcntl_getfl(socket)?;
    if flags.contains(OFlags::NONBLOCK) {
        return Ok(false);
    }
    fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
    Ok(true)
}

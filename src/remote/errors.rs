//! Errors of the service itself.

use std::io::{Error, ErrorKind};

/// Nobody is there any more to do it.
pub(super) fn ended() -> Error {
    Error::new(
        ErrorKind::NotConnected,
        "the file service has ended, by a shutdown or with its runtime: keep that until the last file was used",
    )
}

/// The service is that of another process.
pub(super) fn inherited() -> Error {
    Error::new(
        ErrorKind::NotConnected,
        "the file service has stayed in the parent process, as threads do not survive a fork: start one in the child",
    )
}

/// A thread of the service could not be made.
pub(super) fn no_thread(number: usize, of: usize, error: &Error) -> Error {
    Error::new(
        error.kind(),
        format!(
            "cannot start thread {number} of {of} of the file service: {error}; start fewer, or raise the limit \
             (`ulimit -u`, or TasksMax= in the service's unit)"
        ),
    )
}

/// The runtime of a thread of the service could not be made.
pub(super) fn no_runtime(number: usize, of: usize, error: crate::Error) -> Error {
    let error = Error::from(error);
    Error::new(
        error.kind(),
        format!("cannot start the runtime of thread {number} of {of} of the file service: {error}"),
    )
}

//! The errors of this crate, as those of `std::io`.

use std::io::{Error, ErrorKind};

/// What rustls has to report: it is inside, as [`get_ref`](Error::get_ref) shows.
pub(crate) fn tls(error: rustls::Error) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}

pub(crate) fn truncated(is_handshaking: bool) -> Error {
    let text = if is_handshaking {
        "the peer ended the connection during the TLS handshake"
    } else {
        "the peer ended the connection without close_notify: what it sent may have been cut off"
    };
    Error::new(ErrorKind::UnexpectedEof, text)
}

pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::BrokenPipe,
        "nothing can be written: shutdown has ended this direction",
    )
}

pub(crate) fn dropped_write() -> Error {
    Error::new(
        ErrorKind::BrokenPipe,
        "nothing more can be written: an earlier write was dropped with encrypted bytes of which nobody knows \
         whether they were sent",
    )
}

pub(crate) fn takes_no_more() -> Error {
    Error::new(
        ErrorKind::WriteZero,
        "the transport takes no more of what was encrypted",
    )
}

pub(crate) fn no_room() -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "the buffer has no room to read into: give it a capacity, as in Vec::with_capacity(4096)",
    )
}

/// More than any record or handshake message may be: rustls says so earlier.
pub(crate) fn too_much() -> Error {
    Error::new(
        ErrorKind::InvalidData,
        "the peer sent more than a TLS message may hold",
    )
}

/// Whether the transport stopped because somebody did not want to wait any longer, so that it can go on later.
pub(crate) fn is_paused(error: &Error) -> bool {
    let is_elapsed = |inner: &(dyn std::error::Error + Send + Sync + 'static)| {
        inner.is::<saferring::time::Elapsed>()
    };
    error.get_ref().is_some_and(is_elapsed) || saferring::io::is_cancelled(error)
}

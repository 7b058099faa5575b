//! Errors of our own, and when a step that failed is done again.

use std::io::{Error, ErrorKind, Result};

/// The answer to a read into nothing: `Ok(0)` would look like the end of the stream.
pub(super) fn no_room() -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "the buffer has no room to read into: give it a capacity, as in Vec::with_capacity(4096)",
    )
}

pub(crate) fn ended_early() -> Error {
    Error::new(
        ErrorKind::UnexpectedEof,
        "failed to fill the whole buffer: the end came before",
    )
}

pub(crate) fn takes_no_more() -> Error {
    Error::new(
        ErrorKind::WriteZero,
        "failed to write the whole buffer: no more of it is taken",
    )
}

pub(super) fn not_utf8() -> Error {
    Error::new(ErrorKind::InvalidData, "the stream is not valid UTF-8")
}

/// What one step of something larger came to: so many bytes, or the error that ends it. A step that a signal has
/// interrupted is done again, and one that did nothing is the error `nothing`.
pub(crate) fn progress(step: Result<usize>, nothing: fn() -> Error) -> Result<usize> {
    match step {
        Ok(0) => Err(nothing()),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
        other => other,
    }
}

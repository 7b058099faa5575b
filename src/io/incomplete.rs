//! How far something came that was cancelled.

use std::io::Error;

use crate::error::Elapsed;

/// The error of what reads or writes until all is done, when it is cancelled before: it tells how many bytes were done by then.
///
/// It is inside an [`io::Error`](std::io::Error) of the kind of the error that it holds: `TimedOut`, or that of `ECANCELED`. Of
/// `read_exact` and `write_all` and their like, wherever they are; they give the buffer back beside it.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::Incomplete;
/// use saferring::net::UnixStream;
/// use saferring::time::{Duration, deadline};
///
/// let (stream, peer) = UnixStream::pair()?;
/// peer.write_all("12").await.0?;
/// let (read, buf) = deadline(Duration::from_millis(5), stream.read_exact([0; 4])).await;
/// let error = read.unwrap_err();
/// let incomplete = error.get_ref().and_then(|inner| inner.downcast_ref::<Incomplete>()).unwrap();
/// assert_eq!((incomplete.done(), &buf[..2]), (2, &b"12"[..]));
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{source}, after {done} bytes")]
pub struct Incomplete {
    done: usize,
    source: Error,
}

impl Incomplete {
    /// How many bytes were read or written.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// How many bytes were read or written before `error`, if that is one of these.
    #[must_use]
    pub fn done_before(error: &Error) -> Option<usize> {
        let inner = error.get_ref()?.downcast_ref::<Self>()?;
        Some(inner.done)
    }

    /// The error of something that was cancelled after so many bytes, and those that the error tells of itself; any other as it is.
    pub(crate) fn after(done: usize, error: Error) -> Error {
        let kind = error.kind();
        if let Some(last) = Self::done_before(&error) {
            return match error.into_inner().map(|inner| inner.downcast::<Self>()) {
                Some(Ok(inner)) => {
                    let Incomplete { source, .. } = *inner;
                    let done = done.saturating_add(last);
                    Error::new(kind, Incomplete { done, source })
                }
                Some(Err(other)) => Error::new(kind, other),
                None => kind.into(),
            };
        }
        let is_elapsed = error.get_ref().is_some_and(|inner| inner.is::<Elapsed>());
        if !is_elapsed && error.raw_os_error() != Some(libc::ECANCELED) {
            return error;
        }
        Error::new(
            kind,
            Incomplete {
                done,
                source: error,
            },
        )
    }
}

/// Whether this is the error of an operation that was cancelled, or of what consists of such: `ECANCELED`, in itself or
/// within an [`Incomplete`] or what else says more about it. One whose time is over is none: its kind is `TimedOut`.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// # let (stream, _peer) = saferring::net::UnixStream::pair().unwrap();
/// let (read, _buf) = stream.read(vec![0; 10]).submit().cancel().await;
/// assert!(saferring::io::is_cancelled(&read.unwrap_err()));
/// # });
/// ```
#[must_use]
pub fn is_cancelled(error: &Error) -> bool {
    if error.raw_os_error() == Some(libc::ECANCELED) {
        return true;
    }
    // An error of ours that says more about it has it as its source.
    let mut inner = error
        .get_ref()
        .map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(one) = inner {
        if let Some(error) = one.downcast_ref::<Error>() {
            return is_cancelled(error);
        }
        inner = one.source();
    }
    false
}

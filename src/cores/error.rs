//! What can go wrong with several cores.

use std::convert::Infallible;
use std::io;

use crate::task::JoinError;

/// Why [`Cores::run`](super::Cores::run) has no results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError<E> {
    /// A core could not be started. None has run.
    #[error("core {core} cannot start: {source}")]
    #[non_exhaustive]
    Start {
        /// Its number.
        core: usize,
        /// What stands in the way.
        source: io::Error,
    },
    /// The closure of a core gave an error, as the first of all. The others were told to stop, and have ended.
    #[error("core {core}: {error}")]
    #[non_exhaustive]
    Failed {
        /// Its number.
        core: usize,
        /// The error.
        error: E,
    },
    /// The closure of a core panicked, as the first of all. The others were told to stop, and have ended.
    #[error("core {core}: {panic}")]
    #[non_exhaustive]
    Panicked {
        /// Its number.
        core: usize,
        /// The panic; [`JoinError::into_panic`] passes it on.
        #[source]
        panic: JoinError,
    },
    /// The cores were told to stop, and the closures of these had not ended when the grace period was over.
    #[error(
        "cores {cores:?} were cut off, because their closures had not ended: let them end when Core::stopping does"
    )]
    #[non_exhaustive]
    CutOff {
        /// Their numbers.
        cores: Vec<usize>,
    },
}

impl From<RunError<io::Error>> for io::Error {
    fn from(error: RunError<io::Error>) -> Self {
        let kind = match &error {
            RunError::Start { source, .. } => source.kind(),
            RunError::Failed { error, .. } => error.kind(),
            RunError::Panicked { .. } => io::ErrorKind::Other,
            RunError::CutOff { .. } => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}

impl From<RunError<Infallible>> for io::Error {
    fn from(error: RunError<Infallible>) -> Self {
        let kind = match &error {
            RunError::Start { source, .. } => source.kind(),
            RunError::Failed { error, .. } => match *error {},
            RunError::Panicked { .. } => io::ErrorKind::Other,
            RunError::CutOff { .. } => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}

/// What the closure of a core may give: nothing, or a [`Result`].
#[diagnostic::on_unimplemented(
    message = "the closure of a core cannot give `{Self}`",
    label = "given on each core",
    note = "it gives nothing, or a `Result` of a value and an error that are both `Send`: wrap the value in `Ok`"
)]
pub trait CoreOutput: Send + sealed::Sealed {
    /// What is collected of each core.
    type Value: Send;
    /// What stops all.
    type Error: Send;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl CoreOutput for () {
    type Value = ();
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<T: Send, E: Send> CoreOutput for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<T, E> Sealed for Result<T, E> {}
}

//! The crate's own error: what can go wrong that is not an answer of the kernel to an operation.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::feature::{DisabledBy, Feature, UnknownFeature};

/// Why a runtime could not be made, or could not do what was asked.
///
/// Operations answer with [`std::io::Error`], as std does; this type is what [`Builder::build`] answers with, and
/// turns into an `io::Error` by `?`. It is found again inside of that one:
///
/// ```
/// use saferring::Error;
/// use saferring::op::Registry;
/// use saferring::runtime::{AdvancedConfig, Builder, FallbackStrategy};
/// use saferring::Feature;
///
/// let config = AdvancedConfig::new().disable(Feature::RegisteredFiles);
/// # let config = config.disable_newer_than("5.1")?;
/// let builder = Builder::new().advanced(config.fallback(FallbackStrategy::Strict));
/// let error = builder.build()?.block_on(async { Registry::current().unwrap_err() });
/// match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
///     Some(Error::FeatureDisabled { feature, by, .. }) => println!("{feature}, by {by}"),
///     _ => panic!("{error}"),
/// }
/// # Ok::<_, Error>(())
/// ```
///
/// [`Builder::build`]: crate::runtime::Builder::build
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// io_uring cannot be had here.
    #[error("cannot set up io_uring: {reason}; {cure}")]
    #[non_exhaustive]
    RingUnavailable {
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        cure: String,
        /// What io_uring_setup(2) answered.
        source: io::Error,
    },
    /// The kernel's io_uring lacks something that the runtime cannot do without.
    #[error(
        "this kernel's io_uring is too old: it lacks {feature}; use Linux 5.15 or later, or 5.10.162 and later"
    )]
    #[non_exhaustive]
    KernelTooOld {
        /// The missing feature, by its `IORING_FEAT_` name.
        feature: &'static str,
    },
    /// The environment or the builder names a backend that this version does not have.
    #[error(
        "unknown backend {name:?}: use \"auto\", \"io_uring\" or \"software\" (Builder::backend, SAFERRING_BACKEND)"
    )]
    #[non_exhaustive]
    UnknownBackend {
        /// The name as given.
        name: String,
    },
    /// What an operation needs belongs to the ring of another runtime: a direct descriptor, or a slot for one.
    #[error(
        "the descriptor belongs to another runtime: use a RegisteredFd and a Registry in the runtime that they were made \
         in, or make an ordinary descriptor there (RegisteredFd::install)"
    )]
    OtherRuntime,
    /// The kernel lacks a feature, and [`FallbackStrategy::Strict`] forbids to do without.
    ///
    /// [`FallbackStrategy::Strict`]: crate::runtime::FallbackStrategy::Strict
    #[error("this kernel ({current}) has no {feature}: Linux {required} and later have it")]
    #[non_exhaustive]
    UnsupportedFeature {
        /// What was to be used.
        feature: Feature,
        /// The first version of Linux that has it.
        required: &'static str,
        /// The version that runs.
        current: String,
    },
    /// A feature is switched off or refused, and [`FallbackStrategy::Strict`] forbids to do without.
    ///
    /// [`FallbackStrategy::Strict`]: crate::runtime::FallbackStrategy::Strict
    #[error("{feature} cannot be used: it is off, by {by}")]
    #[non_exhaustive]
    FeatureDisabled {
        /// What was to be used.
        feature: Feature,
        /// Who has switched it off.
        by: DisabledBy,
    },
    /// `SAFERRING_DISABLE` names a feature that does not exist.
    #[error(transparent)]
    UnknownFeature(#[from] UnknownFeature),
    /// A resource besides the ring could not be had.
    #[error("cannot start the runtime: {what}: {source}")]
    #[non_exhaustive]
    Resource {
        /// What was asked for.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::RingUnavailable { source, .. } | Error::Resource { source, .. } => source.kind(),
            Error::KernelTooOld { .. }
            | Error::UnsupportedFeature { .. }
            | Error::FeatureDisabled { .. } => io::ErrorKind::Unsupported,
            Error::UnknownBackend { .. } | Error::OtherRuntime | Error::UnknownFeature(_) => {
                io::ErrorKind::InvalidInput
            }
        };
        io::Error::new(kind, error)
    }
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(crate) fn new() -> Self {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

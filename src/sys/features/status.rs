//! What has become of a feature.

use std::fmt;

use crate::feature::DisabledBy;

/// Whether a runtime uses a feature, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It is there, and is used, or will be as soon as the program does what it is for.
    Used,
    /// It is there, and is not used.
    #[non_exhaustive]
    Available {
        /// The reason.
        why: &'static str,
    },
    /// This kernel has no such thing.
    #[non_exhaustive]
    Absent {
        /// The first version of Linux that has it.
        since: &'static str,
    },
    /// It is switched off, or refused.
    #[non_exhaustive]
    Disabled {
        /// By whom.
        by: DisabledBy,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Used => f.write_str("used"),
            Status::Available { why } => write!(f, "not used: {why}"),
            Status::Absent { since } => write!(f, "absent, Linux {since} has it"),
            Status::Disabled { by } => write!(f, "off, by {by}"),
        }
    }
}

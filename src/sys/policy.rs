//! What a program may use of the kernel, and what becomes of what it may not.

use crate::feature::{DisabledBy, Feature, FeatureSet};

/// What happens where a feature is not to be had.
///
/// [`AdvancedConfig::fallback`](crate::runtime::AdvancedConfig::fallback) sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackStrategy {
    /// The same is done another way.
    #[default]
    Graceful,
    /// The same is done another way, and a warning says so, once for each feature and process: an event of `tracing`, if
    /// the crate's feature `tracing` is on and the program has a subscriber, and else a line on stderr.
    Warn,
    /// It is an error: [`Error::UnsupportedFeature`](crate::Error::UnsupportedFeature) where the kernel has no such thing, [`Error::FeatureDisabled`](crate::Error::FeatureDisabled) where
    /// somebody has switched it off.
    ///
    /// Making a runtime fails if the kernel lacks a flag that its ring should have, or anything else that a runtime uses from
    /// its start; what the program or `SAFERRING_DISABLE` has switched off is then just not used. An operation fails, and so
    /// does the first item of a stream, if the form that it should have is not to be had for whatever reason.
    Strict,
}

/// What a runtime was told of features.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// What the program has switched off.
    pub(crate) by_builder: FeatureSet,
    /// What `SAFERRING_DISABLE` has switched off.
    pub(crate) by_environment: FeatureSet,
    pub(crate) fallback: FallbackStrategy,
}

impl Policy {
    /// Who has switched a feature off.
    pub(super) fn disabled(&self, feature: Feature) -> Option<DisabledBy> {
        if self.by_builder.has(feature) {
            Some(DisabledBy::Builder)
        } else if self.by_environment.has(feature) {
            Some(DisabledBy::Environment)
        } else {
            None
        }
    }
}

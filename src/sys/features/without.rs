//! Doing without a feature.

use super::refusal::Cause;
use crate::Error;
use crate::feature::Feature;
use crate::sys::policy::FallbackStrategy;
use crate::warning;

/// Does without a feature as the strategy says.
///
/// # Errors
///
/// Under `Strict`, what keeps it away.
pub(super) fn do_without(
    strategy: FallbackStrategy,
    feature: Feature,
    cause: Cause,
) -> Result<(), Error> {
    let error = match cause {
        _ if strategy == FallbackStrategy::Graceful => return Ok(()),
        Cause::Nothing | Cause::Software => return Ok(()),
        Cause::Kernel => Error::UnsupportedFeature {
            feature,
            required: feature.kernel(),
            current: release(),
        },
        Cause::Disabled(by) => Error::FeatureDisabled { feature, by },
    };
    if strategy == FallbackStrategy::Strict {
        return Err(error);
    }
    warning::once(feature.name(), || {
        format!("{error} (it goes on without: {})", feature.cost())
    });
    Ok(())
}

/// Which kernel this is.
fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

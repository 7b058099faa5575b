//! The flags of io_uring_setup(2), as features.

use crate::feature::{Feature, FeatureSet, Kind};

/// `IORING_SETUP_SQPOLL`
pub(super) const SQPOLL: u32 = bit(Feature::Sqpoll);
/// `IORING_SETUP_TASKRUN_FLAG`
pub(super) const TASKRUN_FLAG: u32 = bit(Feature::TaskrunFlag);
/// `IORING_SETUP_DEFER_TASKRUN`
pub(super) const DEFER_TASKRUN: u32 = bit(Feature::DeferTaskrun);

const fn bit(feature: Feature) -> u32 {
    match feature.kind() {
        Kind::Setup(bit) => bit,
        _ => 0,
    }
}

/// The flags of a set, as the kernel has them.
pub(super) fn bits(set: FeatureSet) -> u32 {
    set.iter().fold(0, |bits, feature| bits | bit(feature))
}

/// Sets the flags of a set that need no more than to be set, which is all but `SQPOLL`.
pub(super) fn apply(builder: &mut io_uring::Builder, set: FeatureSet) {
    if set.has(Feature::SubmitAll) {
        builder.setup_submit_all();
    }
    if set.has(Feature::CoopTaskrun) {
        builder.setup_coop_taskrun();
    }
    if set.has(Feature::TaskrunFlag) {
        builder.setup_taskrun_flag();
    }
    if set.has(Feature::SingleIssuer) {
        builder.setup_single_issuer();
    }
    if set.has(Feature::DeferTaskrun) {
        builder.setup_defer_taskrun();
    }
    if set.has(Feature::NoSqarray) {
        builder.setup_no_sqarray();
    }
    if set.has(Feature::Iopoll) {
        builder.setup_iopoll();
    }
}

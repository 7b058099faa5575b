//! Which features a ring is to have, and why one that could be had may be of no use.

use crate::feature::{Feature, FeatureSet};
use crate::sys::config::{RingConfig, Setup};

/// The flags that a ring of this configuration is to be made with, if only what `can` allows may be used.
pub(in crate::sys) fn plan(config: &RingConfig, can: impl Fn(Feature) -> bool) -> FeatureSet {
    use Feature::{
        CoopTaskrun, DeferTaskrun, NoSqarray, SingleIssuer, Sqpoll, SubmitAll, TaskrunFlag,
    };
    let deferred = can(SingleIssuer) && can(DeferTaskrun);
    let wanted: &[Feature] = match config.setup {
        // A thread of the kernel has no use for the ways of handing completions over.
        _ if config.tuning.sqpoll.is_some() && can(Sqpoll) => {
            &[Sqpoll, SingleIssuer, SubmitAll, NoSqarray]
        }
        Setup::Deferred if deferred => &[
            SingleIssuer,
            DeferTaskrun,
            TaskrunFlag,
            SubmitAll,
            NoSqarray,
        ],
        Setup::Deferred | Setup::Cooperative if can(CoopTaskrun) => {
            &[SingleIssuer, CoopTaskrun, TaskrunFlag, SubmitAll, NoSqarray]
        }
        Setup::Deferred | Setup::Cooperative => &[SingleIssuer, SubmitAll, NoSqarray],
        Setup::Plain => &[SubmitAll],
    };
    wanted.iter().copied().filter(|&flag| can(flag)).collect()
}

/// What else is asked of the kernel when a ring is made: what is used without being asked for, and what was asked for.
pub(super) fn asked(config: &RingConfig) -> FeatureSet {
    let tuning = &config.tuning;
    let asked = [
        (Feature::Sqpoll, tuning.sqpoll.is_some()),
        (Feature::Napi, tuning.napi.is_some()),
        (Feature::MinWait, tuning.min_wait.is_some()),
        (Feature::KernelWorkers, tuning.workers != [0, 0]),
        (Feature::RegisteredRing, true),
        (Feature::MessageWakes, true),
        (Feature::NoIowait, true),
    ];
    let asked = asked.into_iter().filter(|&(_, asked)| asked);
    asked.map(|(feature, _)| feature).collect()
}

/// Why a ring does without a feature that it could have.
pub(super) fn why(feature: Feature) -> &'static str {
    match feature {
        Feature::Sqpoll => "ask for it by Builder::sqpoll",
        Feature::Napi => "ask for it by Builder::napi",
        Feature::MinWait => "ask for it by Builder::min_wait",
        Feature::KernelWorkers => "ask for it by Builder::kernel_workers",
        Feature::Iopoll => "its ring serves direct I/O alone",
        Feature::CoopTaskrun => "defer_taskrun does more",
        Feature::RegisteredRing => "the thread has no place left",
        _ => "Builder::setup, or without what it needs",
    }
}

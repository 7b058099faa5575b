//! `Features`: what a ring can do, and what its runtime uses of it.

use std::fmt;
use std::sync::OnceLock;

use super::facts::{self, Facts, facts};
use super::idle::{asked, plan, why};
use super::refusal::Cause;
use super::status::Status;
use super::without::do_without;
use crate::Error;
use crate::feature::{Feature, FeatureSet, Kind};
use crate::sys::config::RingConfig;
use crate::sys::policy::{FallbackStrategy, Policy};

/// What a runtime can do here, and why not more: for each [`Feature`] a [`Status`].
///
/// [`features`](crate::features) and [`Runtime::features`](crate::runtime::Runtime::features) give it. It was found by asking:
/// by the kernel's own list of operations, and by trying what that does not tell. It prints as a table.
///
/// # Examples
///
/// ```
/// use saferring::{Feature, Status};
///
/// let features = saferring::features();
/// println!("{features}");
/// if let Status::Absent { since, .. } = features.status(Feature::MultishotAccept) {
///     println!("each accept is a request of its own before Linux {since}");
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// What may be used.
    usable: FeatureSet,
    /// What is.
    used: FeatureSet,
    /// Why what may not be used may not.
    causes: [Cause; Feature::COUNT],
    opcodes: u128,
    strategy: FallbackStrategy,
}

/// What a ring of the defaults can do. (Where io_uring is refused, that is what is not to be had; the software ring has it all.)
pub(crate) fn features() -> Features {
    static FEATURES: OnceLock<Features> = OnceLock::new();
    if let Some(features) = FEATURES.get() {
        return *features;
    }
    let (features, certain) = found_now();
    match certain {
        true => *FEATURES.get_or_init(|| features),
        false => features,
    }
}

/// The same, found now, and whether that will not change.
fn found_now() -> (Features, bool) {
    let list = std::env::var("SAFERRING_DISABLE").unwrap_or_default();
    let mut config = RingConfig::default();
    // Whoever makes a runtime is told of names that there are not.
    config.policy.by_environment = FeatureSet::parse(&list).unwrap_or_default();
    if std::env::var_os("SAFERRING_BACKEND").is_some_and(|backend| backend == "software") {
        return (Features::of_software(&config.policy), true);
    }
    let (facts, certain) = facts();
    let mut features = Features::of(facts, &config.policy);
    let flags = plan(&config, |feature| features.has(feature));
    features.note_used(&config, flags);
    (features, certain)
}

impl Features {
    /// What a ring may use; nothing that it must be made with is used yet.
    pub(in crate::sys) fn for_ring(policy: &Policy) -> Self {
        Self::of(facts().0, policy)
    }

    /// What a ring in software can do: all operations in all their forms, and the tables of files and buffers.
    pub(in crate::sys) fn of_software(policy: &Policy) -> Self {
        use Feature::{BufferRings, RegisteredBuffers};
        let mut all = Facts {
            causes: [Cause::Software; Feature::COUNT],
            opcodes: Feature::opcodes(false),
        };
        for feature in Feature::all() {
            let serves = match feature.kind() {
                Kind::Opcode(_) | Kind::Modifier => true,
                _ => matches!(feature, BufferRings | RegisteredBuffers),
            };
            if serves {
                all.causes[feature as usize] = Cause::Nothing;
            }
        }
        let mut features = Self::of(all, policy);
        features.used = features.usable;
        features
    }

    fn of(facts: Facts, policy: &Policy) -> Self {
        let mut features = Features {
            usable: FeatureSet::EMPTY,
            used: FeatureSet::EMPTY,
            causes: facts.causes,
            opcodes: facts.opcodes,
            strategy: policy.fallback,
        };
        for feature in Feature::all() {
            if let Some(by) = policy.disabled(feature) {
                features.causes[feature as usize] = Cause::Disabled(by);
                if let Some(code) = feature.opcode() {
                    features.opcodes &= !(1 << code);
                }
            }
        }
        for feature in Feature::all() {
            let needed = [feature]
                .into_iter()
                .chain(feature.rests_on().iter().copied());
            let mut causes = needed.map(|one| features.causes[one as usize]);
            match causes.find(|&cause| cause != Cause::Nothing) {
                Some(cause) => features.causes[feature as usize] = cause,
                None => features.usable = features.usable.with(feature),
            }
        }
        features
    }

    /// All that may be used is, but flags that the ring has not, and what nobody has asked for.
    fn note_used(&mut self, config: &RingConfig, flags: FeatureSet) {
        let asked = asked(config);
        let when_asked = [Feature::Napi, Feature::MinWait, Feature::KernelWorkers];
        let used = self.usable.iter().filter(|&feature| match feature.kind() {
            Kind::Setup(_) => flags.has(feature),
            _ => asked.has(feature) || !when_asked.contains(&feature),
        });
        self.used = used.collect();
    }

    /// The ring has come out without a feature that may be used.
    pub(in crate::sys) fn note_unused(&mut self, feature: Feature) {
        self.used = self.used.without(feature);
    }

    /// The ring was made with these flags. Does without what it should have, and has not, as the strategy says.
    ///
    /// # Errors
    ///
    /// Under `Strict`, what keeps a feature away that nobody has switched off on purpose.
    pub(in crate::sys) fn settle(
        &mut self,
        config: &RingConfig,
        flags: FeatureSet,
    ) -> Result<(), Error> {
        self.note_used(config, flags);
        let meant = |feature| config.policy.disabled(feature).is_none();
        let wanted = plan(config, meant).and(asked(config));
        let missing = wanted.iter().filter(|&one| meant(one) && !self.has(one));
        for feature in missing {
            do_without(self.strategy, feature, self.causes[feature as usize])?;
        }
        Ok(())
    }

    /// Whether a feature may be used.
    #[inline]
    pub(crate) const fn has(&self, feature: Feature) -> bool {
        self.usable.has(feature)
    }

    /// Whether an operation may be given the form that `feature` is. If not, it goes another way. Nothing may be borrowed:
    /// a warning is foreign code.
    ///
    /// # Errors
    ///
    /// If there is to be no other way ([`FallbackStrategy::Strict`]).
    #[inline]
    pub(crate) fn may_use(&self, feature: Feature) -> Result<bool, Error> {
        match self.has(feature) {
            true => Ok(true),
            false => self.without(feature),
        }
    }

    #[cold]
    fn without(&self, feature: Feature) -> Result<bool, Error> {
        do_without(self.strategy, feature, self.causes[feature as usize])?;
        Ok(false)
    }

    /// What has become of a feature.
    pub fn status(&self, feature: Feature) -> Status {
        let cause = match self.causes[feature as usize] {
            Cause::Nothing if feature == Feature::Iopoll => facts::iopoll(),
            cause => cause,
        };
        match cause {
            Cause::Nothing if self.used.has(feature) => Status::Used,
            Cause::Nothing => Status::Available { why: why(feature) },
            Cause::Software => Status::Available {
                why: "the ring is in software",
            },
            Cause::Kernel => Status::Absent {
                since: feature.kernel(),
            },
            Cause::Disabled(by) => Status::Disabled { by },
        }
    }

    /// Whether the kernel has the operation with this number (`IORING_OP_*`), and it is not switched off.
    #[inline]
    pub fn has_opcode(&self, code: u8) -> bool {
        code < 128 && self.opcodes & (1 << code) != 0
    }

    /// The operations that the kernel has, and that are not switched off, as bits.
    pub(in crate::sys) fn opcodes(&self) -> u128 {
        self.opcodes
    }

    /// Whether one accept can serve many connections (kernel 5.19).
    #[inline]
    pub fn multishot_accept(&self) -> bool {
        self.has(Feature::MultishotAccept)
    }

    /// Whether one receive can serve a whole stream, out of a ring of provided buffers (kernel 6.0).
    #[inline]
    pub fn multishot_recv(&self) -> bool {
        self.has(Feature::MultishotRecv) && self.has(Feature::BufferRings)
    }

    /// Whether files can live in a table of the ring's own, and are let go of as soon as their slot is emptied. Kernels
    /// before 6.13 keep them open until other requests have ended, or for a second.
    #[inline]
    pub fn registered_files(&self) -> bool {
        self.has(Feature::RegisteredFiles)
    }
}

/// Nothing at all can be used: there is no ring.
impl Default for Features {
    fn default() -> Self {
        let nothing = Facts {
            causes: [Cause::Kernel; Feature::COUNT],
            opcodes: 0,
        };
        Self::of(nothing, &Policy::default())
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Features")
            .field("opcodes", &self.opcodes.count_ones())
            .field("used", &self.used)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::DisabledBy;

    #[test]
    fn software_serves_operations_and_needs_no_flags() {
        let policy = Policy {
            by_builder: FeatureSet::EMPTY.with(Feature::SendZc),
            by_environment: FeatureSet::EMPTY,
            fallback: FallbackStrategy::Strict,
        };
        let features = Features::of_software(&policy);
        assert_eq!(features.status(Feature::MultishotAccept), Status::Used);
        assert_eq!(features.status(Feature::BufferRings), Status::Used);
        assert!(features.has_opcode(0) && features.multishot_recv());
        let by = DisabledBy::Builder;
        assert_eq!(features.status(Feature::SendZc), Status::Disabled { by });
        assert!(!features.has_opcode(47) && features.may_use(Feature::SendZc).is_err());
        for none in [Feature::DeferTaskrun, Feature::Napi, Feature::NoIowait] {
            assert!(matches!(features.status(none), Status::Available { .. }));
            assert!(!features.has(none));
            // It is no lack.
            assert!(matches!(features.may_use(none), Ok(false)));
        }
    }

    #[test]
    fn strategies_differ_in_what_is_absent_alone() {
        let mut features = Features::default();
        assert!(matches!(features.may_use(Feature::Nop), Ok(false)));
        features.strategy = FallbackStrategy::Strict;
        match features.may_use(Feature::SendZc) {
            Err(Error::UnsupportedFeature {
                feature, required, ..
            }) => assert_eq!((feature, required), (Feature::SendZc, "6.0")),
            other => panic!("{other:?}"),
        }
        features.usable = features.usable.with(Feature::SendZc);
        assert!(matches!(features.may_use(Feature::SendZc), Ok(true)));
    }
}

//! What the kernel has, whatever a runtime makes of it: found once a process.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::refusal::Cause;
use super::trials::{self, FORMS, Trial};
use crate::feature::{Feature, Kind};

/// What stands between this process and each feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) causes: [Cause; Feature::COUNT],
    /// The operations that the kernel has, those included that no feature is.
    pub(super) opcodes: u128,
}

static FACTS: OnceLock<Facts> = OnceLock::new();

/// Whether the kernel was found to forget what a send of the whole has sent that is cancelled.
static UNCOUNTED_SENDS: AtomicBool = AtomicBool::new(false);

/// Whether a send may be left to the kernel until all is sent. Otherwise it is to send what goes, and be told to go on.
#[inline]
pub(crate) fn counts_sends() -> bool {
    !UNCOUNTED_SENDS.load(Ordering::Relaxed)
}

/// What is known, or can be found now; and whether that will not change.
pub(super) fn facts() -> (Facts, bool) {
    if let Some(facts) = FACTS.get() {
        return (*facts, true);
    }
    match Trial::new() {
        // Not remembered: it may be for want of a descriptor or of memory, which pass.
        Err(error) => (Facts::refused(&error), false),
        Ok(trial) => {
            let found = Facts::find(trial);
            match found.causes.iter().any(|cause| cause.may_pass()) {
                true => (found, false),
                false => (*FACTS.get_or_init(|| found), true),
            }
        }
    }
}

/// Whether the kernel makes rings for polled reads. Nobody needs to know before somebody asks.
pub(super) fn iopoll() -> Cause {
    static IOPOLL: OnceLock<Cause> = OnceLock::new();
    if let Some(cause) = IOPOLL.get() {
        return *cause;
    }
    let cause = cause(trials::iopoll());
    match cause.may_pass() {
        true => cause,
        false => *IOPOLL.get_or_init(|| cause),
    }
}

fn cause(tried: io::Result<()>) -> Cause {
    match tried {
        Ok(()) => Cause::Nothing,
        Err(error) => Cause::of(&error),
    }
}

impl Facts {
    /// There is no ring.
    fn refused(error: &io::Error) -> Self {
        Facts {
            causes: [Cause::of_setup(error); Feature::COUNT],
            opcodes: 0,
        }
    }

    fn find(mut trial: Trial) -> Self {
        let mut facts = Facts {
            causes: [Cause::Kernel; Feature::COUNT],
            opcodes: 0,
        };
        // Where the kernel does not say what it has, it has what all have.
        let probed = trial.opcodes();
        let unsaid = match &probed {
            Ok(_) => Cause::Kernel,
            Err(error) => Cause::of(error),
        };
        facts.opcodes = probed.unwrap_or_else(|_| Feature::opcodes(true));
        for feature in Feature::all() {
            let found = match feature.kind() {
                // It is looked for when it is asked for.
                _ if feature == Feature::Iopoll => Cause::Nothing,
                Kind::Setup(_) if trial.flags.has(feature) => Cause::Nothing,
                Kind::Opcode(code) if facts.opcodes & (1 << code) != 0 => Cause::Nothing,
                Kind::Opcode(_) => unsaid,
                Kind::Register if feature != Feature::RegisteredFiles => {
                    cause(trial.register(feature))
                }
                _ if trial.has_bit(feature) => Cause::Nothing,
                _ => Cause::Kernel,
            };
            facts.set(feature, found);
        }
        match trial.submit() {
            Ok(submitted) => {
                for feature in FORMS {
                    facts.set(feature, Cause::Nothing);
                }
                for (feature, cause) in submitted.refused {
                    facts.set(feature, cause);
                }
                facts.set(Feature::RegisteredFiles, cause(submitted.files));
            }
            Err(error) => {
                for feature in FORMS.into_iter().chain([Feature::RegisteredFiles]) {
                    facts.set(feature, Cause::of(&error));
                }
            }
        }
        UNCOUNTED_SENDS.store(!trial.counts_sends().unwrap_or(false), Ordering::Relaxed);
        facts
    }

    fn set(&mut self, feature: Feature, cause: Cause) {
        self.causes[feature as usize] = cause;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// It prints how long it takes, which a start pays once.
    #[test]
    fn what_is_found_is_found_again() {
        let Ok(trial) = Trial::new() else { return };
        let first = Facts::find(trial);
        let mut times: Vec<_> = (0..20)
            .map(|_| {
                let started = Instant::now();
                let again = Trial::new().map(Facts::find);
                let elapsed = started.elapsed();
                assert_eq!(again.ok(), Some(first));
                elapsed
            })
            .collect();
        times.sort();
        println!(
            "asking takes {:?} to {:?}, median {:?}",
            times[0], times[19], times[10]
        );
    }

    #[test]
    fn operations_and_their_forms_agree() {
        let Ok(trial) = Trial::new() else { return };
        let facts = Facts::find(trial);
        let has = |feature: Feature| facts.causes[feature as usize] == Cause::Nothing;
        // A form of what is not there is not there either.
        assert!(!has(Feature::ZeroCopyReport) || has(Feature::SendZc));
        assert!(!has(Feature::TaskrunFlag) || has(Feature::CoopTaskrun));
        assert!(!has(Feature::DeferTaskrun) || has(Feature::SingleIssuer));
    }
}

//! Why a feature is not to be had.

use std::io;

use crate::feature::DisabledBy;

/// What stands between the runtime and a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing does.
    Nothing,
    /// The kernel has no such thing.
    Kernel,
    /// The ring is in software, which has no use for it.
    Software,
    /// Somebody has switched it off.
    Disabled(DisabledBy),
}

impl Cause {
    /// What the kernel means by an error, given to a request without fault.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Cause::Disabled(DisabledBy::Filter),
            Some(libc::ENOMEM) => Cause::Disabled(DisabledBy::MemoryLimit),
            Some(libc::EMFILE | libc::ENFILE) => Cause::Disabled(DisabledBy::DescriptorLimit),
            _ => Cause::Kernel,
        }
    }

    /// The same for a ring as a whole, of which a sysctl may be the cause as well.
    pub(super) fn of_setup(error: &io::Error) -> Self {
        match Self::of(error) {
            Cause::Disabled(DisabledBy::Filter) => {
                let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
                match sysctl.as_deref().map(str::trim) {
                    Ok("1" | "2") => Cause::Disabled(DisabledBy::Sysctl),
                    _ => Cause::Disabled(DisabledBy::Filter),
                }
            }
            other => other,
        }
    }

    /// Whether it may be another the next time that one asks.
    pub(super) fn may_pass(self) -> bool {
        matches!(
            self,
            Cause::Disabled(DisabledBy::MemoryLimit | DisabledBy::DescriptorLimit)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_who_refuses() {
        for (errno, cause) in [
            (libc::EINVAL, Cause::Kernel),
            (libc::EOPNOTSUPP, Cause::Kernel),
            (libc::ENOSYS, Cause::Kernel),
            (libc::EPERM, Cause::Disabled(DisabledBy::Filter)),
            (libc::EACCES, Cause::Disabled(DisabledBy::Filter)),
            (libc::ENOMEM, Cause::Disabled(DisabledBy::MemoryLimit)),
            (libc::ENFILE, Cause::Disabled(DisabledBy::DescriptorLimit)),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(Cause::of(&error), cause);
            let limit = matches!(errno, libc::ENOMEM | libc::ENFILE);
            assert_eq!(cause.may_pass(), limit);
            // Where a sysctl is set, no test would have come here.
            assert_eq!(Cause::of_setup(&error), cause);
        }
    }
}

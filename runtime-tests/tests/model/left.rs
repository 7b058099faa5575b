//! What a program has left behind when all that it made is gone, descriptors aside.

use saferring::runtime::{Accounts, accounts};
use saferring_tests::Watch;

/// No driver is alive but for what was forgotten or is with the kernel, and no operation is lost but those that runtimes have
/// told of, which are so many as `leaked`.
pub(crate) fn check_accounts(before: Accounts, forgets: bool, leaked: usize) -> Result<(), String> {
    let now = accounts();
    let drivers = now.drivers.saturating_sub(before.drivers);
    let lost = now.lost - before.lost;
    if drivers > 0 && !forgets && leaked == 0 || lost > leaked || now.forgotten > before.forgotten {
        return Err(format!(
            "{drivers} drivers are alive; {lost} operations are lost, {leaked} told of; {} were never taken from theirs",
            now.forgotten - before.forgotten
        ));
    }
    Ok(())
}

/// Each buffer was dropped once, but for those that were forgotten, and perhaps those that are with the kernel.
pub(crate) fn check_buffers(watch: &Watch, forgotten: usize, leaked: usize) -> Result<(), String> {
    let alive = watch.alive();
    if watch.dropped_twice() > 0 {
        return Err(format!(
            "{} buffers were dropped twice",
            watch.dropped_twice()
        ));
    }
    if alive < forgotten || alive > forgotten + leaked {
        return Err(format!(
            "{alive} buffers are alive; {forgotten} were forgotten, at most {leaked} left with the kernel"
        ));
    }
    Ok(())
}

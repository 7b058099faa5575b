//! Names for tasks.

use std::fmt;

use super::header::with_entered;

/// Names a task among those that are alive now on one runtime.
///
/// A number is used again once its task is over: compare ids of tasks that you know to be alive, and do not keep
/// them as keys for longer.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() {
///     let handle = saferring::spawn(async { saferring::task::id() });
///     let id = handle.id();
///     assert_eq!(handle.await.ok(), Some(id));
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id(u32);

impl Id {
    #[inline]
    pub(super) fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number that [`Display`](fmt::Display) shows, and the in-flight dump names the task by.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0.into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The [`Id`] of the task that is being polled or dropped.
///
/// # Panics
///
/// Outside a task. The future that is passed to `block_on`, and so the body of `main`, is not a task.
/// [`try_id`] does not panic.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() {
///     saferring::spawn(async { println!("this is task {}", saferring::task::id()) }).await.unwrap();
/// }
/// ```
#[track_caller]
#[must_use]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("task::id called outside a task: call it in a future that was spawned"),
    }
}

/// The [`Id`] of the task that is being polled or dropped, or `None` outside a task.
///
/// ```
/// assert_eq!(saferring::task::try_id(), None);
/// ```
#[must_use]
pub fn try_id() -> Option<Id> {
    with_entered(|owner| owner.pulse().task())?.map(Id)
}

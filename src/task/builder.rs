//! Tasks with a name, or in a group.

use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project::pin_project;

use super::executor::{on_entered, spawn_with};
use super::group::{Group, Member};
use super::header::{LocalRef, with_entered};
use super::join::JoinHandle;

/// Says what a task is called and which group it is in, before it is spawned.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::task::{self, Builder};
///
/// let task = Builder::new().name("compaction").spawn(async { task::name() });
/// assert_eq!(task.await.unwrap().as_deref(), Some("compaction"));
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Rc<str>>,
    group: Option<Group>,
}

impl Builder {
    /// No name, and no group.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the task is called: by [`name`], and in the list of what is
    /// [in flight](crate::runtime::in_flight).
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The group whose shares of the time the task has.
    pub fn group(mut self, group: &Group) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// Spawns the task, as [`spawn`](super::spawn) does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let place = Location::caller();
        on_entered(|owner| match &self.group {
            None => spawn_with(owner, future, 0, self.name, place),
            Some(group) => {
                let (flags, member) = owner.groups.join(group);
                let grouped = Grouped {
                    future,
                    _member: member,
                };
                spawn_with(owner, grouped, flags, self.name, place)
            }
        })
    }
}

impl Group {
    /// Spawns a task into the group, as [`spawn`](super::spawn) does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        Builder::new().group(self).spawn(future)
    }
}

/// What the task that is being polled or dropped is called; `None` for one without a name, and outside a task.
///
/// ```
/// assert_eq!(saferring::task::name(), None);
/// ```
#[must_use]
pub fn name() -> Option<Rc<str>> {
    with_entered(|owner| owner.name_of(owner.pulse().task()?))?
}

/// A future, and the place of its task in a group.
#[pin_project]
struct Grouped<F> {
    #[pin]
    future: F,
    _member: Member<LocalRef>,
}

impl<F: Future> Future for Grouped<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

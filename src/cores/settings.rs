//! What the threads of the cores need to know of how they were built.

use std::sync::Arc;

use crate::runtime;

/// What a core's runtime is made with.
pub(super) type MakeRuntime = Arc<dyn Fn(usize) -> runtime::Builder + Send + Sync>;

/// What becomes of the others when the closure of a core panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// They are told to stop, and [`Cores::run`](super::Cores::run) answers with the panic.
    #[default]
    Stop,
    /// The core starts again, with a new runtime: the closure is called once more. What it had is gone, its connections are
    /// cut off. If it panics again and again it waits longer each time, up to five seconds.
    Restart,
}

/// What is left of the builder for the threads.
pub(super) struct Settings {
    pub(super) runtime: MakeRuntime,
    pub(super) names: Vec<String>,
    pub(super) on_panic: OnPanic,
    pub(super) signals: bool,
    pub(super) notes: Vec<String>,
    /// By core, the CPUs that threads of the kernel are to keep to.
    pub(super) workers: Vec<Option<Vec<usize>>>,
}

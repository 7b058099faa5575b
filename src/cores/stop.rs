//! How the cores are told to stop, and hear what becomes of others.

use std::sync::Arc;

use super::core::Core;
use super::outbox::give;
use super::shared::{Phase, Shared};
use crate::runtime::{Job, Message};
use crate::task::spawn;
use crate::time::sleep;

impl Core {
    /// Tells all cores to stop, this one too; see [`stopping`](Core::stopping).
    pub fn shutdown(&self) {
        stop(self.shared());
    }
}

/// What a core is told by the others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    /// All are to stop.
    Stop,
    /// What is left is to be cut off.
    Cut,
    /// A core has ended.
    Ended(usize),
    /// It has ended, and runs again.
    Restarted(usize),
}

impl Job for Note {
    fn run(self: Arc<Self>) {
        let Some(core) = Core::try_current() else {
            return;
        };
        match *self {
            Note::Stop => note_stop(&core),
            Note::Cut => core.cut_off(),
            Note::Ended(other) => core.note_ended(other),
            Note::Restarted(other) => core.note_restarted(other),
        }
    }

    fn refuse(self: Arc<Self>) {}

    fn come_home(self: Arc<Self>) {}

    fn lose_home(self: Arc<Self>) {}
}

/// The core has the grace period from now on, if anybody here makes use of it. Only the first time counts.
pub(super) fn note_stop(core: &Core) {
    match core.note_stopping() {
        None => return,
        Some(false) => return core.cut_off(),
        Some(true) => {}
    }
    let core = core.clone();
    drop(spawn(async move {
        sleep(core.shared().grace).await;
        core.cut_off();
    }));
}

/// Tells all cores to stop.
pub(super) fn stop(shared: &Shared) {
    if shared.advance(Phase::Stopping) {
        tell_all(shared, Note::Stop);
        shared.ring();
    }
}

/// Cuts off what is left.
pub(super) fn cut(shared: &Shared) {
    stop(shared);
    if shared.advance(Phase::Cut) {
        tell_all(shared, Note::Cut);
    }
}

pub(super) fn tell_all(shared: &Shared, note: Note) {
    let note = Arc::new(note);
    for core in 0..shared.seats.len() {
        give(shared, core, Message::Do(Arc::clone(&note) as Arc<dyn Job>));
    }
}

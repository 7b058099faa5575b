//! What all cores of one [`Cores`](super::Cores) share.

use std::any::Any;
use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bell::Bell;
use super::report::CoreReport;
use super::room::{CallCredit, Credit, Pairs};
use crate::runtime::Inbox;

/// Things by the number of what they belong to.
type Things = HashMap<usize, Arc<dyn Any + Send + Sync>>;

pub(super) struct Shared {
    pub(super) seats: Box<[Seat]>,
    /// How long connections may take to end by themselves.
    pub(super) grace: Duration,
    /// How many requests of one core may wait at another.
    pub(super) requests: usize,
    /// Room for calls that goes home.
    pub(super) credits: Pairs<CallCredit>,
    phase: AtomicU8,
    /// What meshes share among the cores.
    things: Mutex<Things>,
    /// Of the n-th listener that each core binds to an address without a port, the address with the one that it got.
    pub(super) ports: Mutex<HashMap<(SocketAddr, usize), SocketAddr>>,
    /// Wakes the thread that has called `run`.
    bell: Mutex<Option<Bell>>,
    /// How many cores have ended.
    ended: AtomicUsize,
    /// The core that failed first.
    pub(super) failed: Mutex<Option<usize>>,
    /// What is in the way of a core that waits before it starts again.
    waits: Mutex<()>,
    changed: Condvar,
    /// Cores that panic start again.
    pub(super) restarts: bool,
}

/// What belongs to one core, and any thread may look at.
pub(super) struct Seat {
    pub(super) inbox: Arc<Inbox>,
    /// It does not run any more, and will not again.
    pub(super) has_ended: AtomicBool,
    /// Connections that it serves now.
    pub(super) connections: AtomicUsize,
    pub(super) report: Mutex<CoreReport>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Running,
    /// Nothing new is begun.
    Stopping,
    /// What is left is cut off.
    Cut,
}

impl Shared {
    pub(super) fn new(
        reports: Vec<CoreReport>,
        grace: Duration,
        requests: usize,
        restarts: bool,
    ) -> Arc<Self> {
        let seat = |report| Seat {
            inbox: Arc::new(Inbox::new()),
            has_ended: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            report: Mutex::new(report),
        };
        let cores = reports.len();
        Arc::new(Shared {
            credits: Pairs::new(cores, |_, to| CallCredit {
                count: Credit::default(),
                to,
            }),
            seats: reports.into_iter().map(seat).collect(),
            grace,
            requests,
            phase: AtomicU8::new(Phase::Running as u8),
            things: Mutex::default(),
            ports: Mutex::default(),
            bell: Mutex::default(),
            ended: AtomicUsize::new(0),
            failed: Mutex::default(),
            waits: Mutex::default(),
            changed: Condvar::new(),
            restarts,
        })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Cut,
        }
    }

    /// Goes on to `phase`, if that is later than the present one. False: it is not.
    pub(super) fn advance(&self, phase: Phase) -> bool {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8
    }

    /// How many connections each core serves now.
    pub(super) fn connections(&self) -> Vec<usize> {
        let seats = self.seats.iter();
        seats
            .map(|seat| seat.connections.load(Ordering::Relaxed))
            .collect()
    }

    /// What all cores have under this number; the first that asks makes it.
    pub(super) fn thing<T: Send + Sync + 'static>(
        &self,
        number: usize,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut things = lock(&self.things);
        let thing = things.entry(number).or_insert_with(|| Arc::new(make()));
        match Arc::clone(thing).downcast() {
            Ok(thing) => thing,
            Err(_) => unreachable!("a number is given to one thing, which has one type"),
        }
    }

    /// The bell is there as long as `run` runs.
    pub(super) fn set_bell(&self, bell: Option<Bell>) {
        let before = mem::replace(&mut *lock(&self.bell), bell);
        drop(before);
    }

    /// Wakes the thread that has called `run`, and cores that wait before they start again.
    pub(super) fn ring(&self) {
        if let Some(bell) = &*lock(&self.bell) {
            bell.ring();
        }
        drop(lock(&self.waits));
        self.changed.notify_all();
    }

    /// A core has ended.
    pub(super) fn note_end(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
        self.ring();
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits so long, or until the cores are to stop.
    pub(super) fn pause(&self, time: Duration) {
        let running = |_: &mut ()| self.phase() == Phase::Running;
        let waits = lock(&self.waits);
        drop(self.changed.wait_timeout_while(waits, time, running));
    }
}

/// Whoever panicked with the lock held has left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that nothing else in the process has, small, for what each core keeps something of.
pub(super) fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

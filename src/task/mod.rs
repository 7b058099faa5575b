//! Tasks: futures that run beside each other on one thread.
//!
//! [`spawn`] starts one and gives a [`JoinHandle`]; a [`JoinSet`] holds many. A task stays on the thread that spawned
//! it, so its future need not be `Send`. A [`Builder`] gives it a name, or a [`Group`] that has a share of the thread's time;
//! [`task_local!`](crate::task_local) declares values of its own; [`select!`](crate::select), [`join!`](crate::join) and
//! [`try_join!`](crate::try_join) wait for several things within one.
//!
//! # Turns
//!
//! Tasks give way where they wait. What is to be had without waiting takes one from the budget of the task's turn, which is 128:
//! when that is used up it waits for the next turn all the same, so that a channel that is always full, or a peer that never stops
//! sending, holds up nobody else's timers and sockets. [`consume_budget`] does so in loops of your own, [`cooperative`] around
//! what knows nothing of it, and [`unconstrained`] switches it off. An operation that goes to the kernel ends the turn by itself.

// How it works: one executor for each thread, with a way in for the wakes of other threads. This layer knows std and
// nothing of rings. The runtime above drives it: `Executor::run` polls, and between `Executor::prepare_park` and
// `Executor::unparked` the runtime waits in the kernel.
//
// # A task
//
// is one allocation (`cell::TaskCell`): a header of 56 bytes, and behind it the future, later the answer.
//
// ```text
//  spawn ──▶ QUEUED ──pop──▶ running ──Pending──▶ idle          ABORTED (set by abort, at any time before DONE):
//               ▲              │  │                │            the next poll drops the future instead
//               │              │  └─woken meanwhile│
//               └──────────────┼──────────wake─────┘
//                              ▼ Ready, panic, or aborted
//                            DONE: future dropped, answer stored if JOIN, joiner woken, list left
// ```
//
// The *owner* is the thread that made the executor. A thread is known as the owner by `sync::current`, which points
// to the executor's `Shared` while its `Entered` lives. When the executor is not entered, even the owner
// takes the way of other threads, which is as right, and slower.
//
// | field | who may touch it, and when |
// |---|---|
// | `vtable`, `shared`, `index` | read by anyone with a reference; never written |
// | `flags`, `local`, `next`, `joiner` | the owner |
// | future, answer | the owner: the future until DONE, then the answer until it is taken or the handle is dropped |
// | `refs` | anyone with a reference; after its creation only by read-modify-writes |
// | `inbox_next` | who has just set IN_INBOX, until the task is pushed; then the owner, until it clears IN_INBOX |
//
// # References
//
// - *Plain* ones (`LocalRef`), counted in `local`, are the owner's: the list of all tasks (until DONE), the run queue, the
//   `JoinHandle`, each `WakeRef`. These types are not `Send`.
// - *Atomic* ones (`TaskRef`), counted in `refs`: each std `Waker`, one for the inbox while the task is in it, and one, the
//   *share*, for all plain ones together.
//
// The share is let go when `local` becomes zero, and never taken again: a `WakeRef` made after that holds a boxed `Waker`.
// Whoever brings `refs` to zero gives the memory back.
//
// # Why it is sound
//
// **The owner's fields are the owner's.** Outside `header.rs` a header is reached through a `LocalRef` only, and the state of
// the executor through an `Owner`. Both stay on the owner thread, and keep alive what they point to.
//
// **A foreign thread never drops what a user made.** The list's plain reference ends after DONE, when the future is
// gone; the handle's, after the answer and the joiner are gone. (If the handle is forgotten, its reference stays, and
// nothing is freed.) So when the share is let go, by the owner, all three are gone, and the thread that lets the last
// waker go only frees memory.
//
// **The future is never aliased.** It is touched by the `poll` of the vtable only, which `run` and `shutdown` call for a task
// that is not DONE, and `spawn` for a task that is new. `run` and `shutdown` refuse to work within a task
// (`Pulse::set_running`), so neither can reach a future that is being polled or dropped.
//
// **No wake is lost.** On the owner thread a wake sets QUEUED, which the pop clears before the poll. Elsewhere it sets
// IN_INBOX, which the drain clears before the poll; who finds it set is behind someone who pushes, or has pushed, the task. All
// writes to `refs` are read-modify-writes, so the drain's subtraction (acquire) comes after every earlier `fetch_or`
// (release), also those that found the bit set: the poll sees what those threads wrote. For the park there is one
// variable: the inbox's head is either null, and then `prepare_park` marks it as parked and the push that replaces the mark
// calls `unpark`; or it is marked still from the park before, with the same promise; or a push came first, and
// `prepare_park` fails. No fence is needed, as no second variable is.
//
// **`unpark` finds its executor.** After the exchange that pushes a task the owner may pop, free and end. So a thread
// that replaces the parked mark keeps a reference of its own to the task, and the task keeps `Shared`.
//
// **`Shared` is freed once**, after the executor, the last header and the last `PulseRef`, which counts as one: see `Shared::task_freed`.
//
// **Counts do not wrap.** Both abort the process at 2^30, as forgetting references in a loop would get there.
//
// **Code of a user may do anything.** Polls, drops of futures, outputs, payloads and foreign wakers may wake, spawn,
// abort, join and drop handles. The list of all tasks is the only thing that is ever borrowed, by `shared::Owned` for
// one call of the slab; all else is in cells, and flags change before the code they tell of runs. Where
// their panics have nobody to go to they are swallowed; those of a poll or of the future's `Drop` go to the handle.

mod borrowed;
mod budget;
mod builder;
mod cancel_scope;
mod cell;
mod error;
mod executor;
mod flags;
mod group;
mod header;
mod id;
mod inbox;
mod join;
mod join_set;
mod local_key;
mod pulse;
mod pulse_ref;
mod queue;
mod shared;
mod sync;
mod wake_ref;
mod waker;
mod yield_now;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub use budget::{
    Cooperative, Unconstrained, consume_budget, cooperative, has_budget_remaining, unconstrained,
};
pub(crate) use budget::{poll_proceed, spend};
pub use builder::{Builder, name};
pub(crate) use cancel_scope::{CancelScope, Place, Reason, is_active, outside};
pub use cancel_scope::{Shielded, is_cancelled, shielded};
pub use error::JoinError;
pub use executor::spawn;
pub(crate) use executor::{Entered, Executor};
pub use group::{DEFAULT_SHARES, Group};
pub use id::{Id, id, try_id};
pub use join::{AbortHandle, JoinHandle};
pub use join_set::JoinSet;
#[doc(hidden)]
pub use local_key::LocalSlot;
pub use local_key::{AccessError, LocalKey, TaskLocalFuture};
#[cfg(test)]
pub(crate) use pulse::Note;
pub(crate) use pulse::{Holder, Look, Pulse};
pub(crate) use pulse_ref::PulseRef;
pub(crate) use shared::Unpark;
pub(crate) use wake_ref::WakeRef;
pub use yield_now::{YieldNow, yield_now};

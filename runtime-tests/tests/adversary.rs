//! Foreign code that does the worst it may, at every point where it can run: each test here goes through all points, all
//! acts and all ways to use its operations, in a process of its own. Each combination is a small program, and after it:
//! nothing has crashed or hung; a panic has reached nobody but the owner of the code that panicked; what stood beside it has
//! got all its bytes, wakes, turns and buffers; each buffer was dropped once, and no descriptor and no waker is left; and the
//! runtime has shut down well.
//!
//! `thread_ends` plays the same scenes up to where all is in flight, and leaves them to the thread's destructors.
//!
//! To run a part: `ADVERSARY=read/WakerDrop cargo test -p saferring-tests --test adversary`; the name of each failure can
//! be given so.

#[path = "adversary/chunks.rs"]
mod chunks;
#[path = "adversary/direct.rs"]
mod direct;
#[path = "adversary/files.rs"]
mod files;
#[path = "adversary/listeners.rs"]
mod listeners;
#[path = "adversary/paths.rs"]
mod paths;
#[path = "adversary/pipes.rs"]
mod pipes;
#[path = "adversary/places.rs"]
mod places;
#[path = "adversary/polls.rs"]
mod polls;
#[path = "adversary/program.rs"]
mod program;
#[path = "adversary/reads.rs"]
mod reads;
#[path = "adversary/scene.rs"]
mod scene;
#[path = "adversary/splices.rs"]
mod splices;
#[path = "adversary/streams.rs"]
mod streams;
#[path = "adversary/tasks.rs"]
mod tasks;
#[path = "adversary/thread_ends.rs"]
mod thread_ends;
#[path = "adversary/timers.rs"]
mod timers;
#[path = "adversary/writes.rs"]
mod writes;

use std::time::Duration;

use saferring_tests::in_child_within;
use saferring_tests::quarantine::Quarantine;

saferring_tests::also_on_software!();

/// Between two combinations it tells whether somebody has written to freed memory.
#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Some twenty seconds is what a group takes; with a sanitizer, beside other work, several times that.
const LIMIT: Duration = Duration::from_secs(300);

/// A test for each group of scenes.
macro_rules! groups {
    ($($run:path { $($group:ident: $scenes:expr;)* })*) => {$($(
        #[test]
        fn $group() {
            in_child_within(LIMIT, stringify!($group), || $run($scenes));
        }
    )*)*};
}

groups! {
    program::run_all {
        adversary_reads: reads::READS;
        adversary_ends: reads::ENDS;
        adversary_writes: writes::WRITES;
        adversary_zero_copy: writes::ZERO_COPY;
        adversary_chunks: chunks::CHUNKS;
        adversary_datagrams: chunks::DATAGRAMS;
        adversary_listeners: listeners::LISTENERS;
        adversary_files: files::FILES;
        adversary_places: places::PLACES;
        adversary_cursors: places::CURSORS;
        adversary_paths: paths::PATHS;
        adversary_streams: streams::STREAMS;
        adversary_pipes: pipes::PIPES;
        adversary_splices: splices::SPLICES;
        adversary_direct: direct::DIRECT;
        adversary_polls: polls::POLLS;
        adversary_timers: timers::TIMERS;
        adversary_tasks: tasks::TASKS;
        adversary_blocking: tasks::BLOCKING;
    }
    thread_ends::run_all {
        adversary_thread_ends: &thread_ends::all();
    }
}

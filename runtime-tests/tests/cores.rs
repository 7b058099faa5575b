//! A runtime on each of several CPUs, and what goes between them.

use saferring::cores::{Builder, Cores, Placement};

#[path = "cores/calls.rs"]
mod calls;
#[path = "cores/connections.rs"]
mod connections;
#[path = "cores/ends.rs"]
mod ends;
#[path = "cores/mailboxes.rs"]
mod mailboxes;
#[path = "cores/values.rs"]
mod values;

saferring_tests::also_on_software!();

/// So many cores, on one CPU if there is no other: more than there are CPUs may be wanted here.
fn builder(count: usize) -> Builder {
    let _ = count;
    Cores::builder()
        .cores(Placement::Count(count))
        .pinned(false)
        .signals(false)
}

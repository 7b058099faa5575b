//! Random programs over several runtimes on one thread, and several descriptors, against a model of what must hold:
//! no byte is lost, swapped or read twice, each buffer comes back once, each descriptor is closed once, and whatever
//! must end does.
//!
//! - `SAFERRING_MODEL_PROGRAMS`: how many programs; `SAFERRING_MODEL_SEED`: those of an earlier run, which has printed
//!   it; `SAFERRING_MODEL_FIRST`: the number of the first. With neither of the first two the programs are always the same.
//! - `SAFERRING_MODEL_NO_CROSS=1`: no handle is used in a runtime other than its own.
//! - `SAFERRING_MODEL_WITHOUT`: what is left out, to look past what is known; names with commas between: `cross` (as
//!   above), `cross-object` (no descriptor is used in two runtimes), `cross-close` (no close waits for what another
//!   runtime has), `outside` (nothing is polled or dropped outside a runtime), `outside-polls`, `panicking-wakers`, `turning-wakers`, `zero-grace`,
//!   `forget`, `resets`, `peer-ends`, `accept` (only streams of connections), `senders` (no
//!   datagram is received without asking who sent it), `late-connections` (no accept must
//!   end after another was dropped), `late-resets` (it is not looked how often a reset is told), `queued-closes` (the
//!   descriptors of closes that a shutdown leaves may stay open), `cross-chunks` (`recv_stream` is used in one runtime), `dead-timers` (a timeout that
//!   began in a runtime that is gone need not end anything), `untaken-reads` (a read need not end while there are others), `registry` (what a
//!   runtime's registry opens is awaited there), `same-number` (no close waits while there are
//!   operations on another descriptor that has, or had, the same number).

#[path = "model/bytes.rs"]
mod bytes;
#[path = "model/close.rs"]
mod close;
#[path = "model/drive.rs"]
mod drive;
#[path = "model/end.rs"]
mod end;
#[path = "model/files.rs"]
mod files;
#[path = "model/handle.rs"]
mod handle;
#[rustfmt::skip]
#[path = "model/kept.rs"]
mod kept;
#[path = "model/left.rs"]
mod left;
#[path = "model/make.rs"]
mod make;
#[path = "model/object.rs"]
mod object;
#[path = "model/search.rs"]
mod search;
#[path = "model/settle.rs"]
mod settle;
#[path = "model/start.rs"]
mod start;
#[path = "model/start_stream.rs"]
mod start_stream;
#[path = "model/step.rs"]
mod step;
#[path = "model/wakers.rs"]
mod wakers;
#[path = "model/world.rs"]
mod world;

saferring_tests::also_on_software!();

#[test]
fn random_programs() {
    search::search("random_programs", 3000);
}

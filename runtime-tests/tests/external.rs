//! A runtime inside another event loop: what makes its descriptor readable, what its turns do, and what they never do.

#[path = "external/ends.rs"]
mod ends;
#[path = "external/sources.rs"]
mod sources;
#[path = "external/support.rs"]
mod support;
#[path = "external/turns.rs"]
mod turns;

saferring_tests::also_on_software!();

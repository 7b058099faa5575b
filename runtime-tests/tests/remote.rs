//! A runtime as other threads see it (`Handle`, `Remote`), and the files that programs on other runtimes have by it
//! (`saferring::remote`).

#[path = "remote/cancelled.rs"]
mod cancelled;
#[path = "remote/ends.rs"]
mod ends;
#[path = "remote/files.rs"]
mod files;
#[path = "remote/handles.rs"]
mod handles;
#[path = "remote/places.rs"]
mod places;
#[path = "remote/support.rs"]
mod support;

saferring_tests::also_on_software!();

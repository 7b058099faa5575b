//! Public functions, each called once at least for what it gives: beside std's answer where std has the function, and
//! beside what tokio documents where it has the name from there.

#[path = "public_api/advice.rs"]
mod advice;
#[path = "public_api/buffers.rs"]
mod buffers;
#[path = "public_api/builder.rs"]
mod builder;
#[path = "public_api/datagrams.rs"]
mod datagrams;
#[path = "public_api/debug.rs"]
mod debug;
#[path = "public_api/direct.rs"]
mod direct;
#[path = "public_api/files.rs"]
mod files;
#[path = "public_api/options.rs"]
mod options;
#[path = "public_api/panics.rs"]
mod panics;
#[path = "public_api/streams.rs"]
mod streams;
#[path = "public_api/tasks.rs"]
mod tasks;
#[path = "public_api/timers.rs"]
mod timers;
#[path = "public_api/traits.rs"]
mod traits;

use std::any::Any;

use saferring::runtime::Runtime;

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// The text of a panic.
fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

//! Public functions, each called once at least for what it gives: beside std's answer where std has the function, and
//! beside what tokio documents where it has the name from there.

#[path = "public_api/buffers.rs"]
mod buffers;
#[path = "public_api/builder.rs"]
mod builder;
#[path = "public_api/datagrams.rs"]
mod datagrams;
#[path = "public_api/debug.rs"]
mod debug;
#[path = "public_api/files.rs"]
mod files;
#[path = "public_api/options.rs"]
mod options;
#[path = "public_api/streams.rs"]
mod streams;
#[path = "public_api/tasks.rs"]
mod tasks;
#[path = "public_api/timers.rs"]
mod timers;

use saferring::runtime::Runtime;

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

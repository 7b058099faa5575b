//! The client: its connections, and servers that misbehave.

#[path = "client/common.rs"]
mod common;
#[cfg(feature = "tls")]
#[path = "client/https.rs"]
mod https;
#[path = "client/pool.rs"]
mod pool;
#[path = "client/threads.rs"]
mod threads;

saferring_tests::also_on_software!();

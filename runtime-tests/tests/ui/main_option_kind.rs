//! Options are numbers where the builder takes numbers.

#[saferring::main(entries = "8", event_interval = -1)]
async fn main() {}

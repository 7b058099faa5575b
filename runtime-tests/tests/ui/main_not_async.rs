//! What is not async has nothing to run.

#[saferring::main]
fn main() {}

//! Only functions are run.

#[saferring::main]
struct Main;

fn main() {}

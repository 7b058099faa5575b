//! Of two values for one option, neither wins.

#[saferring::main(entries = 4, entries = 8)]
async fn main() {}

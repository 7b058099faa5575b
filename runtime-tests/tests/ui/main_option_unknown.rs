//! A misspelt option is not passed over.

#[saferring::main(entries = 8, threads = 4)]
async fn main() {}

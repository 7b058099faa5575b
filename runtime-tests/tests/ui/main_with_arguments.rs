//! The main function has no caller that could give it arguments.

#[saferring::main]
async fn main(name: String, count: usize) {}

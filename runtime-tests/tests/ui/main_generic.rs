//! The main function has no caller that could choose its types.

#[saferring::main]
async fn main<T>() {}

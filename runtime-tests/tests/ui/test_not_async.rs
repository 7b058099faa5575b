//! What is not async needs only std's attribute.

#[saferring::test]
fn blocks() {}

fn main() {}

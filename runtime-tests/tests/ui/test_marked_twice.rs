//! A test that two attributes mark would run twice.

#[saferring::test]
#[test]
async fn runs_once() {}

fn main() {}

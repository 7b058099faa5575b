//! Errors in the body point into the body.

#[saferring::main]
async fn main() {
    let count: usize = "three";
}

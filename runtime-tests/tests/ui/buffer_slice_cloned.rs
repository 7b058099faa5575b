//! A slice has its buffer alone: a clone's capacity need not be the one that the bounds were checked against.

use saferring::buf::{IoBuf, Slice};

fn is_clone<T: Clone>() {}

fn main() {
    drop(vec![0_u8; 64].slice(32..));
    is_clone::<Slice<Vec<u8>>>();
}

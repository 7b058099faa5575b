//! An operation is polled where it stays, so that it cannot be moved out and configured afterwards.

use saferring::fs::File;
use saferring::op::{Op, Read};

fn is_unpin<T: Unpin>(_value: &T) {}

fn program(file: &File) {
    let reading: Op<Read<Vec<u8>>> = file.read_at(vec![0; 64], 0);
    is_unpin(&reading);
}

fn main() {}

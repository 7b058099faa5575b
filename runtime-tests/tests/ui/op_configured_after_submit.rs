//! An operation in flight can be awaited and cancelled, and nothing else.

use std::time::Duration;

use saferring::fs::File;

async fn program(file: &File) {
    let reading = file.read_at(vec![0; 64], 0).submit();
    drop(reading.timeout(Duration::ZERO).await);
}

fn main() {}

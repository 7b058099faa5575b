//! What is being cancelled can only be awaited, through the value that `cancel` gives back.

use saferring::fs::File;

async fn program(file: &File) {
    let reading = file.read_at(vec![0; 64], 0).submit();
    let cancelled = reading.cancel();
    drop((cancelled.await, reading.await));
}

fn main() {}

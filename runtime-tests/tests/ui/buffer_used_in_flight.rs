//! A buffer belongs to the operation while it is in flight, and cannot be looked at.

use saferring::fs::File;

async fn program(file: &File) {
    let buf = vec![0; 64];
    let reading = file.read_at(buf, 0).submit();
    println!("{}", buf[0]);
    drop(reading.await);
}

fn main() {}

//! An operation is submitted once.

use saferring::fs::File;

async fn again(file: &File) {
    let reading = file.read_at(vec![0; 64], 0);
    let first = reading.submit();
    let second = reading.submit();
    drop((first.await, second.await));
}

async fn in_flight(file: &File) {
    let reading = file.read_at(vec![0; 64], 0).submit();
    drop(reading.submit());
}

async fn copied(file: &File) {
    let reading = file.read_at(vec![0; 64], 0);
    drop((reading.clone().submit(), reading.submit()));
}

fn main() {}

//! A buffer that is being written out cannot be changed, nor given to a second operation.

use saferring::net::TcpStream;

async fn changed(stream: &TcpStream) {
    let mut buf = vec![0; 64];
    let writing = stream.write(buf).submit();
    buf.clear();
    drop(writing.await);
}

async fn given_twice(stream: &TcpStream) {
    let buf = vec![0; 64];
    let first = stream.write(buf).submit();
    let second = stream.write(buf).submit();
    drop((first.await, second.await));
}

fn main() {}

//! What drops an error or a buffer by oversight is warned of.
#![deny(unused_must_use)]

use saferring::buf::IoBuf;
use saferring::net::TcpStream;

async fn program(stream: &TcpStream, buf: Vec<u8>) {
    stream.write_all("a result").await;
    stream.write_all("a future");
    stream.read(vec![0; 64]);
    buf.slice(1..);
    vec![1, 2].slice(1..).slice(1..);
    vec![1, 2].slice(1..).into_inner();
}

fn main() {}

//! A list of buffers goes in by value, and so does each of them.

use std::io::IoSlice;

use saferring::net::TcpStream;

async fn program(stream: &TcpStream, mut head: Vec<u8>, mut body: Vec<u8>) {
    let _ = stream.write_vectored(&[IoSlice::new(&head), IoSlice::new(&body)]).await;
    let _ = stream.write_all_vectored([&head, &body]).await;
    let _ = stream.read_vectored(&mut [head, body]).await;
}

fn main() {}

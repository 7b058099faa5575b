//! A part of a buffer is a slice that owns it, not a borrow. There is an implementation for `&'static [u8]`, so that the
//! compiler speaks of lifetimes; the line that it shows says what to write.

use saferring::fs::File;
use saferring::net::{TcpStream, UdpSocket};

async fn streams(stream: &TcpStream, buf: Vec<u8>, n: usize) {
    let _ = stream.write_all(&buf[..n]).await;
}

async fn texts(stream: &TcpStream, text: String) {
    let _ = stream.write(text.as_bytes()).await;
}

async fn files(file: &File, buf: Vec<u8>, n: usize) {
    let _ = file.write_all_at(&buf[..n], 0).await;
}

async fn datagrams(socket: &UdpSocket, buf: Vec<u8>, n: usize) {
    let _ = socket.send_to(&buf[..n], "127.0.0.1:7000").await;
}

fn main() {}

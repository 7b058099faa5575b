//! A borrowed buffer may be gone before the kernel is done with it.

use saferring::net::TcpStream;

async fn writes(stream: &TcpStream) {
    let bytes = [0; 64];
    drop(stream.write(&bytes[..]).await);
}

fn reads(stream: &TcpStream) {
    let mut bytes = [0; 64];
    stream.read_exact(&mut bytes);
}

fn main() {}

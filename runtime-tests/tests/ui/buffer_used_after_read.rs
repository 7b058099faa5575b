//! A buffer that went into a read comes back with the result, and only there.

use saferring::net::TcpStream;

async fn program(stream: &TcpStream) -> Vec<u8> {
    let buf = Vec::with_capacity(64);
    let (received, _) = stream.read(buf).await;
    drop(received);
    buf
}

fn main() {}

//! Nothing reads into bytes that others see, that never change, or that must be text.

use std::sync::Arc;

use saferring::net::TcpStream;

fn shared(stream: &TcpStream, bytes: Arc<[u8]>) {
    stream.read_exact(bytes);
}

fn text(stream: &TcpStream) {
    stream.read_exact(String::new());
}

fn literal(stream: &TcpStream) {
    stream.read_exact("unchanging");
}

fn main() {}

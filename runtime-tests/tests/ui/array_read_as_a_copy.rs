//! An array is copied when it is given: what was read is in the one that comes back. That `mut` is not needed is all that
//! the compiler can say of it.
#![deny(unused_mut)]

use saferring::net::TcpStream;

async fn program(stream: &TcpStream) -> std::io::Result<[u8; 4]> {
    let mut array = [0; 4];
    stream.read_exact(array).await.0?;
    Ok(array)
}

fn main() {}

//! `?` is for the result, not for the pair. What the compiler says of it is its own: it names the pair, and no more.

use saferring::net::TcpStream;

async fn program(stream: &TcpStream, buf: Vec<u8>) -> std::io::Result<usize> {
    let n = stream.read(buf).await?;
    Ok(n)
}

fn main() {}

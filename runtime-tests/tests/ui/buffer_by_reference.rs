//! Who comes from tokio gives references. Each is told what to give instead.

use saferring::net::{TcpStream, UdpSocket};

async fn reads(stream: &TcpStream, mut vec: Vec<u8>, mut text: String) {
    let mut array = [0; 64];
    let _ = stream.read(&mut array).await;
    let _ = stream.read(&mut vec).await;
    let _ = stream.read_exact(&mut vec[8..]).await;
    let _ = stream.read(text).await;
}

async fn writes(stream: &TcpStream, socket: &UdpSocket, vec: Vec<u8>, text: String) {
    let _ = stream.write_all(&vec).await;
    let _ = stream.write_all(&text).await;
    let _ = socket.send_to(vec, 7000).await;
}

fn main() {}

//! The comparison with every rival: `cargo bench --bench compare -- --help`.
//!
//! All but the rivals is in `saferring-benches`. These have a crate of their own because they are many crates.

mod block;
mod compio;
mod compio_managed;
mod glommio;
mod monoio;
mod tokio_uring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut rivals = Vec::from(monoio::contenders());
    rivals.extend(compio::contenders());
    rivals.push(compio_managed::contender());
    rivals.push(glommio::contender());
    rivals.extend(tokio_uring::contenders());
    saferring_benches::compare(rivals)
}

/// What is alike in all runtimes whose operations take a buffer and give it back: what their servers do with a connection
/// or a socket, and reads and writes of a block. What an operation gives is `(result, buffer)`, or that by another name.
macro_rules! with_owned_buffers {
    ($($given:ident)?) => {
        #[allow(unused_mut, reason = "not all want it")]
        async fn echo_one(mut stream: TcpStream, message: usize) -> io::Result<()> {
            stream.set_nodelay(true)?;
            let mut buf = Vec::with_capacity(message);
            loop {
                buf.clear(); // With some, a read makes it longer, never shorter.
                let $($given)? (read, filled) = stream.read(buf).await;
                if read? == 0 {
                    return Ok(());
                }
                let $($given)? (written, used) = stream.write_all(filled).await;
                written?;
                buf = used;
            }
        }

        async fn answer(socket: UdpSocket, message: usize) -> io::Result<()> {
            let mut buf = Vec::with_capacity(message);
            loop {
                buf.clear();
                let $($given)? (received, datagram) = socket.recv_from(buf).await;
                let (_, sender) = received?;
                // What cannot be sent is lost, as datagrams are.
                let $($given)? (_, used) = socket.send_to(datagram, sender).await;
                buf = used;
            }
        }

        async fn read_block(file: &File, buf: Block, offset: u64) -> io::Result<Block> {
            let $($given)? (read, buf) = file.read_at(buf, offset).await;
            match read? == buf.len() {
                true => Ok(buf),
                false => Err(short()),
            }
        }

        #[allow(unused_mut, reason = "not all want it")]
        async fn write_block(mut file: &File, buf: Block, offset: u64) -> io::Result<Block> {
            let $($given)? (written, buf) = file.write_all_at(buf, offset).await;
            written?;
            Ok(buf)
        }
    };
}
use with_owned_buffers;

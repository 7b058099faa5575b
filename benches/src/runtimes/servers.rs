//! What servers do with a connection or a socket, in the two ways in which runtimes read and write. `TcpStream`, `UdpSocket`
//! and the traits that they need are those of the runtime.

/// For runtimes whose operations take a buffer and give it back: as `(result, buffer)`, or that by another name.
#[macro_export]
macro_rules! servers_with_owned_buffers {
    ($($given:ident)?) => {
        #[allow(unused_mut, reason = "not all want it")]
        async fn echo_one(mut stream: TcpStream, message: usize) -> ::std::io::Result<()> {
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

        async fn answer(socket: UdpSocket, message: usize) -> ::std::io::Result<()> {
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
    };
}

/// For runtimes whose operations borrow a buffer.
#[macro_export]
macro_rules! servers_with_borrowed_buffers {
    () => {
        async fn echo_one(mut stream: TcpStream, message: usize) -> ::std::io::Result<()> {
            stream.set_nodelay(true)?;
            let mut buf = vec![0; message];
            loop {
                let n = stream.read(&mut buf).await?;
                if n == 0 {
                    return Ok(());
                }
                stream.write_all(&buf[..n]).await?;
            }
        }

        async fn answer(socket: UdpSocket, message: usize) -> ::std::io::Result<()> {
            let mut buf = vec![0; message];
            loop {
                let (n, sender) = socket.recv_from(&mut buf).await?;
                // What cannot be sent is lost, as datagrams are.
                let _ = socket.send_to(&buf[..n], sender).await;
            }
        }
    };
}

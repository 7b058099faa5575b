//! The echo server as one writes it with tokio.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Cell, UNKNOWN, stamp};

pub(super) fn serve(listener: std::net::TcpListener, cell: Cell) -> io::Result<()> {
    crate::tokio_runtime(true)?.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut tasks = Vec::new();
        while tasks.len() <= cell.connections {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tasks.push(match tasks.is_empty() {
                true => tokio::spawn(stamps(stream)),
                false => tokio::spawn(echo(stream, cell.message)),
            });
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

async fn echo(mut stream: TcpStream, message: usize) -> io::Result<()> {
    let mut buf = vec![0; message];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

async fn stamps(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 1];
    loop {
        if stream.read(&mut request).await? == 0 {
            return Ok(());
        }
        stream.write_all(&stamp(UNKNOWN)).await?;
    }
}

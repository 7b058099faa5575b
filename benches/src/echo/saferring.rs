//! The echo server as one writes it with saferring.

use std::io;

use futures_util::StreamExt;
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::{Runtime, metrics};

use super::{Cell, stamp};

/// By reads into a buffer of the connection's own.
pub(super) fn serve(listener: std::net::TcpListener, cell: Cell) -> io::Result<()> {
    serve_with(listener, cell, async move |stream| {
        echo(stream, cell.message).await
    })
}

/// By the chunks of a stream, out of the core's buffers.
pub(super) fn serve_chunks(listener: std::net::TcpListener, cell: Cell) -> io::Result<()> {
    serve_with(listener, cell, async move |stream| {
        echo_chunks(stream).await
    })
}

fn serve_with(
    listener: std::net::TcpListener,
    cell: Cell,
    echo: impl AsyncFn(TcpStream) -> io::Result<()> + Copy + 'static,
) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::from_std(listener);
        let mut incoming = listener.incoming();
        let mut tasks = Vec::new();
        while tasks.len() <= cell.connections {
            let Some(stream) = incoming.next().await.transpose()? else {
                break;
            };
            stream.set_nodelay(true)?;
            tasks.push(match tasks.is_empty() {
                true => saferring::spawn(stamps(stream)),
                false => saferring::spawn(async move { echo(stream).await }),
            });
        }
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    })
}

async fn echo(stream: TcpStream, message: usize) -> io::Result<()> {
    let mut buf = Vec::with_capacity(message);
    loop {
        let (received, data) = stream.read(buf).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, data) = stream.write_all(data).await;
        sent?;
        buf = data;
    }
}

async fn echo_chunks(stream: TcpStream) -> io::Result<()> {
    let mut chunks = stream.recv_stream();
    while let Some(chunk) = chunks.next().await.transpose()? {
        stream.write_all(chunk).await.0?;
    }
    Ok(())
}

async fn stamps(stream: TcpStream) -> io::Result<()> {
    loop {
        let (received, _) = stream.read([0; 1]).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, _) = stream.write_all(stamp(metrics().enters)).await;
        sent?;
    }
}

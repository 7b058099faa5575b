//! One connection, from its handshake to its close_notify.

use std::io;
use std::pin::pin;

use futures_util::FutureExt;
use saferring::cores::Core;
use saferring::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};
use saferring::net::TcpStream;
use saferring::time::{Duration, sleep, timeout};
use saferring_tls::{TlsAcceptor, TlsStream};

use crate::request::{Head, Refusal, Request};

/// How long a client may take for its handshake, and to say the next word.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a handshake may still take when the server is to stop.
const LAST_WORD: Duration = Duration::from_secs(1);

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
const HEAD_ONLY: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: close\r\n\r\nHello, world!";
const LAST_HEAD_ONLY: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: close\r\n\r\n";

pub(crate) async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    core: &Core,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = {
        let mut accepting = pin!(timeout(PATIENCE, acceptor.accept(stream)).fuse());
        let mut stopped = pin!(core.stopping().then(|()| sleep(LAST_WORD)).fuse());
        saferring::select_biased! {
            accepted = accepting => accepted??,
            () = stopped => return Ok(()),
        }
    };
    let mut head = Head::default();
    let mut stopping = pin!(core.stopping().fuse());
    loop {
        let has_come = {
            // What has come of a head is not lost when this is dropped.
            let mut next = pin!(next_head(&mut stream, &mut head).fuse());
            saferring::select_biased! {
                has_come = next => has_come?,
                () = stopping => false,
            }
        };
        if !has_come {
            break;
        }
        match head.parse() {
            Ok(request) => {
                skip(&mut stream, request.body).await?;
                let keeps = request.keeps && !core.is_stopping();
                stream.write_all(answer(&request, keeps)).await.0?;
                if !keeps {
                    break;
                }
            }
            Err(refusal) => {
                stream.write_all(refuse(refusal)).await.0?;
                break;
            }
        }
    }
    stream.shutdown().await
}

fn answer(request: &Request, keeps: bool) -> &'static str {
    match (request.is_head, keeps) {
        (false, true) => ANSWER,
        (true, true) => HEAD_ONLY,
        (false, false) => LAST,
        (true, false) => LAST_HEAD_ONLY,
    }
}

fn refuse(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => {
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
        Refusal::TooLong => {
            "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
        Refusal::Chunked => {
            "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
    }
}

/// Waits for the end of a request's head; `false` if the client is done.
async fn next_head(stream: &mut TlsStream<TcpStream>, head: &mut Head) -> io::Result<bool> {
    loop {
        let bytes = timeout(PATIENCE, stream.fill_buf()).await??;
        if bytes.is_empty() {
            return if head.is_empty() {
                Ok(false)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let (taken, is_whole) = head.push(bytes);
        stream.consume(taken);
        if is_whole {
            return Ok(true);
        }
    }
}

/// Reads a body that nobody wants.
async fn skip(stream: &mut TlsStream<TcpStream>, mut body: u64) -> io::Result<()> {
    while body > 0 {
        let bytes = timeout(PATIENCE, stream.fill_buf()).await??;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = usize::try_from(body).unwrap_or(usize::MAX).min(bytes.len());
        stream.consume(n);
        body -= n as u64;
    }
    Ok(())
}

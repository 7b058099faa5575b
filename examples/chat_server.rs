//! A chat server: what one client says in a line, all others hear.
//!
//! ```text
//! cargo run --release --example chat_server 127.0.0.1:7002
//! ```
//!
//! The first line is a client's name. One who reads too slowly misses lines, and is told so; one who is silent for long is sent
//! away. Ctrl-C or `SIGTERM` ends it with a good bye.

use std::cell::Cell;
use std::io::{self, Write};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use saferring::net::{TcpListener, TcpStream};
use saferring::signal::shutdown;
use saferring::sync::broadcast::error::RecvError;
use saferring::sync::{CancellationToken, broadcast};
use saferring::task::JoinSet;
use saferring::time::{deadline, sleep, timeout};

const LINE_MAX: usize = 4096;
/// How many lines a client may be behind.
const BEHIND_MAX: usize = 256;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(600);
/// How long a client may take for what it is sent.
const SEND: Duration = Duration::from_secs(10);

/// Who said it, and the line.
type Line = (u64, Arc<str>);

#[saferring::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let addr = addr.as_deref().unwrap_or("127.0.0.1:0");
    serve(addr)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{addr}: {error}")))
}

async fn serve(addr: &str) -> io::Result<()> {
    let mut asked = pin!(shutdown().fuse());
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    let (room, stop) = (broadcast::channel(BEHIND_MAX).0, CancellationToken::new());
    let (mut clients, number) = (JoinSet::new(), Rc::new(Cell::new(0_u64)));
    loop {
        let mut accepted = pin!(listener.accept().fuse());
        let accepted = saferring::select_biased! {
            signal = asked => {
                println!("stopping, because of {:?}", signal?);
                break;
            }
            accepted = accepted => accepted,
        };
        while clients.try_join_next().is_some() {}
        let Ok((stream, peer)) = accepted else {
            continue;
        };
        let (room, stop, id) = (room.clone(), stop.clone(), number.get());
        number.set(id + 1);
        clients.spawn(async move {
            if let Err(error) = talk(&stream, id, &room, &stop).await {
                println!("{peer}: {error}");
            }
        });
    }
    stop.cancel();
    let _ = timeout(SEND, async { while clients.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn talk(
    stream: &TcpStream,
    id: u64,
    room: &broadcast::Sender<Line>,
    stop: &CancellationToken,
) -> io::Result<()> {
    let (mut heard, mut name) = (room.subscribe(), None::<String>);
    let (mut buf, mut out) = (Vec::new(), b"your name?\n".to_vec());
    'session: loop {
        out = say(stream, out).await?;
        let mut said = None;
        let ended = {
            let mut read = pin!(stream.read_buf(&mut buf).fuse());
            let mut hear = pin!(heard.recv().fuse());
            let mut stopped = pin!(stop.cancelled().fuse());
            let mut silence = pin!(sleep(SILENCE).fuse());
            saferring::select_biased! {
                () = stopped => Some("good bye: the server stops\n"),
                n = read => if n? == 0 { break 'session } else { None },
                line = hear => {
                    said = Some(line);
                    None
                }
                () = silence => Some("good bye: you say nothing\n"),
            }
        };
        match said {
            Some(Ok((from, line))) if from != id && name.is_some() => {
                out.extend_from_slice(line.as_bytes())
            }
            Some(Err(RecvError::Lagged(lines))) => {
                out.extend_from_slice(format!("[{lines} lines missed]\n").as_bytes())
            }
            _ => {}
        }
        while let Some(end) = buf.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buf.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let told = match &name {
                Some(name) => format!("{name}: {line}\n"),
                None => format!("{} is here\n", name.insert(line)),
            };
            let _ = room.send((id, told.into()));
        }
        if let Some(why) =
            ended.or((buf.len() > LINE_MAX).then_some("good bye: your line is too long\n"))
        {
            out.extend_from_slice(why.as_bytes());
            say(stream, out).await?;
            break;
        }
    }
    if let Some(name) = name {
        let _ = room.send((id, format!("{name} is gone\n").into()));
    }
    Ok(())
}

/// Sends all of it, in time, and gives the memory back, empty.
async fn say(stream: &TcpStream, out: Vec<u8>) -> io::Result<Vec<u8>> {
    let (sent, mut out) = deadline(SEND, stream.write_all(out)).await;
    sent?;
    out.clear();
    Ok(out)
}

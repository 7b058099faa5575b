//! A TCP echo server: sends back whatever it receives, on one thread, to thousands of connections.
//!
//! ```text
//! cargo run --release --example echo_server
//! ```
//!
//! Ctrl-C ends it: what was received is still sent back, then every connection is closed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, Write};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::Runtime;
use saferring::signal::ctrl_c;
use saferring::task::JoinSet;
use saferring::time::timeout;
use slab::Slab;

const USAGE: &str = "usage: echo_server [--addr 127.0.0.1:0] [--buffer-size 4096]";
/// How long a client may take to read the rest when the server stops.
const GRACE: Duration = Duration::from_secs(5);

struct Options {
    addr: String,
    buffer_size: usize,
}

/// What the connections share.
#[derive(Default)]
struct Server {
    open: RefCell<Slab<Rc<TcpStream>>>,
    open_max: Cell<usize>,
    connections: Cell<u64>,
    messages: Cell<u64>,
    bytes: Cell<u64>,
}

fn main() -> ExitCode {
    let options = match parse_options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("echo_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A connection is a descriptor, and the usual limit of 1,024 is soft. If it cannot be raised, accept will say so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let served = Runtime::new()
        .map_err(io::Error::from)
        .and_then(|runtime| runtime.block_on(serve(options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        addr: "127.0.0.1:0".to_owned(),
        buffer_size: 4096,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => options.addr = parser.value()?.string()?,
            Long("buffer-size") => options.buffer_size = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.buffer_size == 0 {
        return Err("--buffer-size must be at least 1".into());
    }
    Ok(Some(options))
}

async fn serve(options: Options) -> io::Result<()> {
    let interrupted = ctrl_c();
    let listener = TcpListener::bind(&options.addr)?;
    let addr = listener.local_addr()?;
    println!("listening on {addr}");
    println!("try it: echo hello | nc -q1 {} {}", addr.ip(), addr.port());
    io::stdout().flush()?;

    let started = Instant::now();
    let server = Rc::new(Server::default());
    let mut tasks = JoinSet::new();
    accept(
        &server,
        &listener,
        options.buffer_size,
        &mut tasks,
        pin!(interrupted),
    )
    .await?;

    // No new connections; the open ones see the end of their stream, send what they have, and close.
    drop(listener);
    for (_, stream) in server.open.borrow().iter() {
        let _ = stream.shutdown(Shutdown::Read);
    }
    let drained = timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        println!(
            "{} connections did not end in time and were cut off",
            tasks.len()
        );
        tasks.shutdown().await;
    }
    println!(
        "served {} connections (at most {} at once), {} messages, {} bytes in {:.1} s",
        server.connections.get(),
        server.open_max.get(),
        server.messages.get(),
        server.bytes.get(),
        started.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// Gives each connection a task, until Ctrl-C.
async fn accept(
    server: &Rc<Server>,
    listener: &TcpListener,
    buffer_size: usize,
    tasks: &mut JoinSet<()>,
    mut interrupted: Pin<&mut impl Future<Output = io::Result<()>>>,
) -> io::Result<()> {
    let mut incoming = listener.incoming();
    loop {
        // Tasks that have ended give their memory back here.
        while tasks.try_join_next().is_some() {}
        let stream = match select(incoming.next(), interrupted.as_mut()).await {
            Either::Left((Some(Ok(stream)), _)) => stream,
            Either::Left((Some(Err(error)), _)) => {
                // No descriptor is free, most likely: those that wait are served when others leave.
                eprintln!("echo_server: accept: {error}");
                saferring::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Either::Left((None, _)) => return Ok(()),
            Either::Right((signal, _)) => return signal,
        };
        let server = Rc::clone(server);
        tasks.spawn(async move { server.serve(Rc::new(stream), buffer_size).await });
    }
}

impl Server {
    /// The life of one connection.
    async fn serve(&self, stream: Rc<TcpStream>, buffer_size: usize) {
        let key = self.open.borrow_mut().insert(Rc::clone(&stream));
        self.connections.set(self.connections.get() + 1);
        self.open_max
            .set(self.open_max.get().max(self.open.borrow().len()));
        // A client that went away without a word is no news to an echo server.
        let _ = self.echo(&stream, buffer_size).await;
        self.open.borrow_mut().remove(key);
    }

    async fn echo(&self, stream: &TcpStream, buffer_size: usize) -> io::Result<()> {
        let mut buf = Vec::with_capacity(buffer_size);
        loop {
            let (received, data) = stream.read(buf).await;
            let n = received?;
            if n == 0 {
                return stream.shutdown(Shutdown::Write);
            }
            let (sent, data) = stream.write_all(data).await;
            sent?;
            self.messages.set(self.messages.get() + 1);
            self.bytes.set(self.bytes.get() + n as u64);
            buf = data;
        }
    }
}

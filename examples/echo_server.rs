//! A TCP echo server: sends back whatever it receives, on one thread, to thousands of connections.
//!
//! ```text
//! cargo run --release --example echo_server
//! ```
//!
//! Ctrl-C or SIGTERM ends it: what was received is still sent back, then every connection is closed. A second one cuts off
//! those that take their time.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
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
use saferring::signal::shutdown;
use saferring::signal::unix::SignalKind;
use saferring::task::JoinSet;
use saferring::time::timeout;
use slab::Slab;

const USAGE: &str = "usage: echo_server [--addr 127.0.0.1:0]";
/// How long a client may take to read the rest when the server stops.
const GRACE: Duration = Duration::from_secs(5);

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
    let addr = match parse_addr() {
        Ok(Some(addr)) => addr,
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
        .and_then(|runtime| runtime.block_on(serve(&addr)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address to listen on; `None` if help was asked for.
fn parse_addr() -> Result<Option<String>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut addr = "127.0.0.1:0".to_owned();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => addr = parser.value()?.string()?,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(addr))
}

async fn serve(addr: &str) -> io::Result<()> {
    let stop = shutdown();
    let listener = TcpListener::bind(addr)?;
    let addr = listener.local_addr()?;
    println!("listening on {addr}");
    let (ip, port) = (addr.ip(), addr.port());
    println!(
        "try it: bash -c 'exec 3<>/dev/tcp/{ip}/{port}; echo hello >&3; head -n 1 <&3'; Ctrl-C ends it"
    );
    io::stdout().flush()?;

    let started = Instant::now();
    let server = Rc::new(Server::default());
    let mut tasks = JoinSet::new();
    let signal = accept(&server, &listener, &mut tasks, pin!(stop)).await?;
    let again = shutdown();
    println!("stopping, because of {signal:?}");

    // No new connections; the open ones see the end of their stream, send what they have, and close.
    drop(listener);
    for (_, stream) in server.open.borrow().iter() {
        let _ = stream.shutdown(Shutdown::Read);
    }
    let drained = {
        let all = pin!(async { while tasks.join_next().await.is_some() {} });
        let again = pin!(async {
            if again.await.is_err() {
                pending::<()>().await; // Without descriptors for it there is the time that is left.
            }
        });
        let ended = timeout(GRACE, select(all, again)).await;
        matches!(ended, Ok(Either::Left(_)))
    };
    if !drained {
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

/// Gives each connection a task, until a signal says to stop.
async fn accept(
    server: &Rc<Server>,
    listener: &TcpListener,
    tasks: &mut JoinSet<()>,
    mut stop: Pin<&mut impl Future<Output = io::Result<SignalKind>>>,
) -> io::Result<SignalKind> {
    let mut incoming = listener.incoming();
    loop {
        // Tasks that have ended give their memory back here.
        while tasks.try_join_next().is_some() {}
        let stream = match select(incoming.next(), stop.as_mut()).await {
            Either::Left((Some(Ok(stream)), _)) => stream,
            Either::Left((Some(Err(error)), _)) => {
                // No descriptor is free, most likely: those that wait are served when others leave.
                eprintln!("echo_server: accept: {error}");
                saferring::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Either::Left((None, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Either::Right((signal, _)) => return signal,
        };
        let server = Rc::clone(server);
        tasks.spawn(async move { server.serve(Rc::new(stream)).await });
    }
}

impl Server {
    /// The life of one connection.
    async fn serve(&self, stream: Rc<TcpStream>) {
        let key = self.open.borrow_mut().insert(Rc::clone(&stream));
        self.connections.set(self.connections.get() + 1);
        self.open_max
            .set(self.open_max.get().max(self.open.borrow().len()));
        // A client that went away without a word is no news to an echo server.
        let _ = self.echo(&stream).await;
        self.open.borrow_mut().remove(key);
    }

    /// Sends back what comes, in the very buffers that it came in. A connection that is silent holds none.
    async fn echo(&self, stream: &TcpStream) -> io::Result<()> {
        let mut chunks = stream.recv_stream();
        while let Some(chunk) = chunks.next().await.transpose()? {
            let (sent, chunk) = stream.write_all(chunk).await;
            sent?;
            self.messages.set(self.messages.get() + 1);
            self.bytes.set(self.bytes.get() + chunk.len() as u64);
        }
        stream.shutdown(Shutdown::Write)
    }
}

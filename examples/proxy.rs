//! A TCP proxy: passes each connection on to another server, in both directions.
//!
//! ```text
//! cargo run --release --example proxy -- --listen 127.0.0.1:7001 --to 127.0.0.1:7000
//! ```
//!
//! It serves so many connections at once, and lets the others wait. At Ctrl-C or `SIGTERM` it takes no more, gives those that
//! are open some time to end, and then ends them from within.

use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use saferring::io::{copy_bidirectional, is_cancelled};
use saferring::net::{TcpListener, TcpStream};
use saferring::signal::shutdown;
use saferring::sync::CancellationToken;
use saferring::sync::local::Semaphore;
use saferring::task::JoinSet;
use saferring::time::{deadline, timeout};

const USAGE: &str = "usage: proxy [--listen 127.0.0.1:0] [--connections 1000] --to HOST:PORT";
/// How long the other server may take to accept.
const CONNECT: Duration = Duration::from_secs(10);
/// How long connections may go on when the proxy stops.
const GRACE: Duration = Duration::from_secs(5);

struct Args {
    listen: String,
    to: String,
    connections: usize,
}

#[saferring::main]
async fn main() -> ExitCode {
    let args = match parse_args() {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("proxy: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_args() -> Result<Option<Args>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut listen, mut to, mut connections) = ("127.0.0.1:0".to_owned(), None, 1000);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("listen") => listen = parser.value()?.string()?,
            Long("to") => to = Some(parser.value()?.string()?),
            Long("connections") => connections = parser.value()?.parse::<usize>()?.max(1),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let to = to.ok_or("--to is missing")?;
    Ok(Some(Args {
        listen,
        to,
        connections,
    }))
}

async fn serve(args: Args) -> io::Result<()> {
    let mut stop = pin!(shutdown().fuse());
    let listener = TcpListener::bind(&args.listen)?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    let (cut, to): (_, Rc<str>) = (CancellationToken::new(), args.to.into());
    let free = Rc::new(Semaphore::new(args.connections));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        // First the permit, so that who is not served yet waits in the kernel.
        let next = async {
            let permit = Rc::clone(&free).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let mut next = pin!(next.fuse());
        let (permit, accepted) = saferring::select_biased! {
            signal = stop => {
                println!("stopping, because of {:?}", signal?);
                break;
            }
            next = next => next,
        };
        let (client, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("proxy: accept: {error}"); // The next one waits until there is a descriptor.
                continue;
            }
        };
        let (cut, to) = (cut.clone(), Rc::clone(&to));
        open.spawn(async move {
            let _permit = permit;
            match cut.run(pass_on(&client, &to)).await {
                Ok((up, down)) => println!("{peer}: {up} bytes up, {down} bytes down"),
                Err(error) if is_cancelled(&error) => println!("{peer}: cut off"),
                Err(error) => println!("{peer}: {error}"),
            }
        });
    }
    drop(listener);
    let drained = timeout(GRACE, async { while open.join_next().await.is_some() {} });
    if drained.await.is_err() {
        cut.cancel();
        while open.join_next().await.is_some() {}
    }
    Ok(())
}

async fn pass_on(client: &TcpStream, to: &str) -> io::Result<(u64, u64)> {
    let server = deadline(CONNECT, TcpStream::connect(to)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(client, &server).await
}

//! An HTTPS server on several cores, which answers every request with `Hello, world!`.
//!
//! ```text
//! cargo run --release -p saferring-tls --example hello -- --addr 127.0.0.1:8443 --cores 2
//! curl --insecure https://127.0.0.1:8443/
//! ```
//!
//! Without `--cert` and `--key` it makes a certificate of its own, which nobody trusts. Ctrl-C ends it: requests that have come are
//! answered, then every connection is closed.
#![forbid(unsafe_code)]

mod certificate;
mod connection;
mod request;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use saferring::cores::{Balance, Core, Cores, Listener, Placement};
use saferring_tls::TlsAcceptor;
use saferring_tls::rustls::ServerConfig;
use saferring_tls::rustls::crypto::ring::Ticketer;

const USAGE: &str = "usage: hello [--addr 127.0.0.1:0] [--cores 1] [--cert PEM --key PEM]
  --cert FILE   the certificate, and those that it needs to be trusted; without it one is made
  --key FILE    its private key";

struct Options {
    addr: String,
    cores: usize,
    files: Option<(PathBuf, PathBuf)>,
}

fn main() -> ExitCode {
    let options = match parse_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("hello: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A connection is a descriptor, and the usual limit of 1,024 is soft. If it cannot be raised, accept will say so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_args() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut addr, mut cores) = ("127.0.0.1:0".to_owned(), 1);
    let (mut certificate, mut key) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => addr = parser.value()?.string()?,
            Long("cores") => cores = parser.value()?.parse::<usize>()?.max(1),
            Long("cert") => certificate = Some(parser.value()?.into()),
            Long("key") => key = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let files = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("--cert and --key need each other".into()),
    };
    Ok(Some(Options { addr, cores, files }))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let (chain, key) = match &options.files {
        Some((certificate, key)) => certificate::load(certificate, key)?,
        None => certificate::make()?,
    };
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("this certificate cannot be used with this key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clients keep their sessions themselves, encrypted: the cores need not share any.
    config.ticketer = Ticketer::new()?;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let cpus = std::thread::available_parallelism()?.get();
    let placement = match options.cores <= cpus {
        true => Placement::Count(options.cores),
        false => Placement::Unpinned(options.cores),
    };
    let mut cores = Cores::builder().cores(placement).build()?;
    let listener = cores
        .bind(&options.addr, Balance::LeastLoaded)
        .map_err(|error| format!("{}: {error}", options.addr))?;
    cores.run(|core| serve(core, listener.clone(), acceptor.clone()))?;
    Ok(())
}

/// What each core does.
async fn serve(core: Core, listener: Listener, acceptor: TlsAcceptor) -> io::Result<()> {
    if core.id() == 0 {
        println!("listening on {}", listener.local_addr());
        io::stdout().flush()?;
    }
    let handler = |stream| {
        let (core, acceptor) = (core.clone(), acceptor.clone());
        async move {
            // Who goes without a word, speaks no TLS or keeps us waiting needs no answer.
            let _ = connection::serve(stream, &acceptor, &core).await;
        }
    };
    core.serve(&listener, handler).await
}

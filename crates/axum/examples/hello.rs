//! `Hello, world!` by axum, on one core or several.
//!
//! `cargo run --release -p saferring-axum --example hello -- --addr 127.0.0.1:3000 --cores 2`, then
//! `curl http://127.0.0.1:3000/`. With `--cert PEM --key PEM` it speaks TLS. Ctrl-C lets requests end, and ends it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use saferring::cores::{Balance, Cores, Placement};
use saferring::time::timeout;
use saferring_axum::{Http, OnCore, RouterService, Serving, local, serve_core};
use saferring_tls::TlsAcceptor;
use saferring_tls::rustls::ServerConfig;
use saferring_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// How long a client may take for the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests this core has answered.
type Served = OnCore<Cell<u64>>;

async fn hello(State(served): State<Served>) -> &'static str {
    served.set(served.get() + 1);
    "Hello, world!"
}

async fn served(State(served): State<Served>) -> String {
    // Whatever is awaited in here stays on this core.
    local(async move {
        saferring::task::yield_now().await;
        format!("{}\n", served.get())
    })
    .await
}

/// The files of a certificate and of its key.
type Files = Option<(String, String)>;

/// What speaks TLS for this certificate and key, if they are given.
fn acceptor(files: &Files) -> Result<Option<TlsAcceptor>, Box<dyn Error>> {
    let Some((certificate, key)) = files else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{certificate}: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{key}: {error}"))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("this certificate cannot be used with this key: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn run(addr: &str, cores: usize, files: &Files) -> Result<(), Box<dyn Error>> {
    let acceptor = acceptor(files)?;
    let mut cores = Cores::builder().cores(Placement::Count(cores)).build()?;
    let listener = cores.bind(addr, Balance::Hash)?;
    println!("listening on {}", listener.local_addr());
    std::io::stdout().flush()?;
    cores.run(async |core| {
        let router = Router::new()
            .route("/", get(hello))
            .route("/served", get(served))
            .with_state(OnCore::new(Cell::new(0)));
        let Some(acceptor) = acceptor.clone() else {
            return serve_core(&core, &listener, router, Serving::default()).await;
        };
        let (http, this) = (Rc::new(Http::new()), core.clone());
        core.serve(&listener, move |stream| {
            let (http, core, acceptor) = (Rc::clone(&http), this.clone(), acceptor.clone());
            let routed = RouterService::new(&router, stream.peer_addr().ok());
            async move {
                // Who speaks no TLS, or keeps us waiting, needs no answer.
                if let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await {
                    let _ = http.serve_connection(stream, routed, core.stopping()).await;
                }
            }
        })
        .await
    })?;
    Ok(())
}

fn main() -> ExitCode {
    let outcome = options().and_then(|(addr, cores, files)| run(&addr, cores, &files));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<(String, usize, Files), Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut addr, mut cores) = ("127.0.0.1:0".to_owned(), 1);
    let (mut certificate, mut key) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => addr = parser.value()?.string()?,
            Long("cores") => cores = parser.value()?.parse()?,
            Long("cert") => certificate = Some(parser.value()?.string()?),
            Long("key") => key = Some(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let files = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("--cert and --key need each other".into()),
    };
    Ok((addr, cores, files))
}

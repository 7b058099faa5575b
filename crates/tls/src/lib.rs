//! TLS over the streams of [`saferring`], by [`rustls`].
//!
//! It is rustls without buffers of its own (its [unbuffered](rustls::unbuffered) connections): what the transport received is
//! decrypted where it lies, and what goes out is encrypted into the buffer that the transport gets. No layer of `std` or tokio traits
//! is between. The cryptography is that of `ring`.
//!
//! - [`TlsConnector`] and [`TlsAcceptor`] make the handshake, over anything that is [`AsyncRead`] and [`AsyncWrite`].
//! - [`TlsStream`] is what comes of it. It is both, too, and [`AsyncBufRead`]; it tells what a dropped read or write loses.
//! - [`into_split`](TlsStream::into_split) makes halves for two tasks.
//! - [`Session`] is what is between bytes and records, without a transport; `CompatTls` of `saferring-compat` is made of it: the stream
//!   under the traits of tokio, futures and hyper.
//!
//! [`AsyncRead`]: saferring::io::AsyncRead
//! [`AsyncWrite`]: saferring::io::AsyncWrite
//! [`AsyncBufRead`]: saferring::io::AsyncBufRead
//!
//! # A server
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use saferring::io::AsyncWrite;
//! use saferring::net::{TcpListener, TcpStream};
//! use saferring::time::{Duration, timeout};
//! use saferring_tls::TlsAcceptor;
//! use saferring_tls::rustls::ServerConfig;
//! use saferring_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
//!
//! #[saferring::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
//!     let key = PrivateKeyDer::from_pem_file("key.pem")?;
//!     let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
//!     let acceptor = TlsAcceptor::from(Arc::new(config));
//!
//!     let listener = TcpListener::bind("0.0.0.0:7443")?;
//!     loop {
//!         let (stream, peer) = listener.accept().await?;
//!         let acceptor = acceptor.clone();
//!         saferring::spawn(async move {
//!             if let Err(error) = echo(stream, acceptor).await {
//!                 eprintln!("{peer}: {error}");
//!             }
//!         });
//!     }
//! }
//!
//! async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
//!     // Nobody else bounds how long a client takes.
//!     let stream = timeout(Duration::from_secs(10), acceptor.accept(stream)).await??;
//!     let (mut reader, mut writer) = stream.into_split();
//!     saferring::io::copy(&mut reader, &mut writer).await?;
//!     writer.shutdown().await
//! }
//! ```
//!
//! # A client
//!
//! ```no_run
//! # #[cfg(feature = "webpki-roots")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! use std::sync::Arc;
//!
//! use saferring::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
//! use saferring::net::TcpStream;
//! use saferring_tls::TlsConnector;
//!
//! let config = saferring_tls::client_config_with_webpki_roots()?; // a feature
//! let connector = TlsConnector::from(Arc::new(config));
//! let stream = TcpStream::connect("example.com:443").await?;
//! let mut stream = connector.connect("example.com".try_into()?, stream).await?;
//!
//! stream.write_all("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n").await.0?;
//! let (read, page) = stream.read_to_end(Vec::new()).await;
//! read?;
//! println!("{}", String::from_utf8_lossy(&page));
//! stream.shutdown().await?;
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "webpki-roots"))]
//! # fn main() {}
//! ```
//!
//! The example `hello` is an HTTPS server on several cores.
//!
//! # Features
//!
//! Neither is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `webpki-roots` | `client_config_with_webpki_roots`: a client that trusts what Mozilla trusts |
//! | `native-roots` | `client_config_with_native_roots`: a client that trusts what the system trusts |
//!
//! # What is not there
//!
//! Early data (0-RTT), and kernel TLS. The kernel could encrypt what is sent, which would spare a copy, and let files be spliced; but
//! whether that pays has not been measured. (Receiving would take recvmsg(2) for each chunk, as what is no data is told of
//! beside it.) A stream stays on its core, as all streams of saferring do.
#![forbid(unsafe_code)]

mod buffers;
mod connector;
mod drive;
mod engine;
mod error;
#[cfg(any(feature = "native-roots", feature = "webpki-roots"))]
mod roots;
mod session;
mod split;
mod stream;

pub use rustls;

pub use connector::{TlsAcceptor, TlsConnector};
#[cfg(feature = "native-roots")]
pub use roots::client_config_with_native_roots;
#[cfg(feature = "webpki-roots")]
pub use roots::client_config_with_webpki_roots;
pub use session::{Decrypted, Session};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TlsStream;

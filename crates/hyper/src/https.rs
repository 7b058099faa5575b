//! Connections that may speak TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use saferring::net::TcpStream;
use saferring_compat::{Compat, CompatTls};
use saferring_tls::TlsConnector;
use saferring_tls::rustls::ClientConfig;
use saferring_tls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::connect::{CONNECT_TIMEOUT, Connecting, host, no_such_scheme, tcp, within};
use crate::io::{IntoIo, Io};

/// Connects by TCP, and speaks TLS over it for `https`; `http` goes without.
///
/// The server must prove to be the host of the request's address, by its name or its IP address. Both sides agree upon HTTP/2 or
/// HTTP/1 by ALPN. Clones resume each other's sessions, on all cores.
///
/// # Errors
///
/// Of its connections: as [`HttpConnector`](crate::HttpConnector), and those of [`TlsConnector::connect`]: `InvalidData` with the
/// [`rustls::Error`](saferring_tls::rustls::Error) inside ([`io::Error::get_ref`]) if the handshake fails. `InvalidInput` if the host is
/// no name that a certificate could have.
///
/// # Examples
///
/// With roots of one's own:
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Empty;
/// use saferring_hyper::{Client, HttpsConnector, client_builder};
/// use saferring_tls::rustls::{ClientConfig, RootCertStore};
///
/// let roots = RootCertStore::empty(); // see also the features `webpki-roots` and `native-roots`
/// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
/// let client: Client<Empty<Bytes>, _> = client_builder().build(HttpsConnector::new(config));
/// # drop(client);
/// ```
#[derive(Clone, Debug)]
pub struct HttpsConnector {
    tls: TlsConnector,
    connect_timeout: Option<Duration>,
}

impl HttpsConnector {
    /// One that trusts whom `config` trusts, and waits 30 s for a connection.
    ///
    /// It offers HTTP/2 and HTTP/1.1, unless the configuration says what to offer. A client that speaks
    /// [HTTP/2 only](hyper_util::client::legacy::Builder::http2_only) must offer nothing else:
    /// `config.alpn_protocols = vec![b"h2".to_vec()]`.
    pub fn new(mut config: ClientConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        HttpsConnector {
            tls: TlsConnector::from(Arc::new(config)),
            connect_timeout: Some(CONNECT_TIMEOUT),
        }
    }

    /// One that trusts whom Mozilla trusts: see
    /// [`client_config_with_webpki_roots`](saferring_tls::client_config_with_webpki_roots).
    ///
    /// # Errors
    ///
    /// As that.
    ///
    /// # Examples
    ///
    /// See [`client_builder`](crate::client_builder).
    #[cfg(feature = "webpki-roots")]
    pub fn with_webpki_roots() -> io::Result<Self> {
        Ok(HttpsConnector::new(
            saferring_tls::client_config_with_webpki_roots()?,
        ))
    }

    /// One that trusts whom this system trusts: see
    /// [`client_config_with_native_roots`](saferring_tls::client_config_with_native_roots), which blocks for some milliseconds. Make one
    /// at the start, and clone it for each core.
    ///
    /// # Errors
    ///
    /// As that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use bytes::Bytes;
    /// # use http_body_util::Empty;
    /// use saferring_hyper::{Client, HttpsConnector, client_builder};
    ///
    /// let connector = HttpsConnector::with_native_roots()?;
    /// let client: Client<Empty<Bytes>, _> = client_builder().build(connector);
    /// # drop(client);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[cfg(feature = "native-roots")]
    pub fn with_native_roots() -> io::Result<Self> {
        Ok(HttpsConnector::new(
            saferring_tls::client_config_with_native_roots()?,
        ))
    }

    /// How long a connection may take, with the look-up of its name and the handshake; none: as long as the system and the server let
    /// it.
    pub fn connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.connect_timeout = limit;
        self
    }
}

impl Service<Uri> for HttpsConnector {
    type Response = Io<MaybeHttps>;
    type Error = io::Error;
    type Future = Connecting<MaybeHttps>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, limit) = (self.tls.clone(), self.connect_timeout);
        Connecting::new(async move {
            match uri.scheme_str() {
                Some("http") => {
                    let stream = within(limit, tcp(&uri, 80)).await?;
                    Ok(Io::new(MaybeHttps::Http(Compat::new(stream))))
                }
                Some("https") => within(limit, https(&tls, &uri)).await,
                _ => Err(no_such_scheme(&uri, "http or https")),
            }
        })
    }
}

async fn https(tls: &TlsConnector, uri: &Uri) -> io::Result<Io<MaybeHttps>> {
    let host = host(uri);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{host}` is no name that a certificate could have"),
        )
    })?;
    let stream = tls.connect(name, tcp(uri, 443).await?).await?;
    let is_http2 = stream.alpn_protocol() == Some(b"h2");
    let io = Io::new(MaybeHttps::Https(CompatTls::new(stream)));
    Ok(match is_http2 {
        true => io.negotiated_h2(),
        false => io,
    })
}

/// A connection of [`HttpsConnector`]: what [`downcast`](crate::downcast) asks for and gives where one of its connections is upgraded.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a connection has one, and a box would be one more step for each read"
)]
pub enum MaybeHttps {
    /// By TCP alone.
    Http(Compat<TcpStream>),
    /// By TLS.
    Https(CompatTls<TcpStream>),
}

impl IntoIo for MaybeHttps {
    type Stream = MaybeHttps;

    fn into_io(self) -> Io<MaybeHttps> {
        Io::new(self)
    }
}

/// Both need no pinning.
macro_rules! either {
    ($stream:expr, $call:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            MaybeHttps::Http(stream) => Pin::new(stream).$call($($argument),*),
            MaybeHttps::Https(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl Read for MaybeHttps {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read(cx, buf))
    }
}

impl Write for MaybeHttps {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        // Both do.
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored(cx, bufs))
    }
}

//! Both ends of a handshake.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};
use saferring::io::{AsyncRead, AsyncWrite};

use crate::engine::Engine;
use crate::error;
use crate::stream::TlsStream;

/// Makes TLS connections to servers.
///
/// Connections of one connector, and of its clones, resume each other's sessions as its configuration says, which may be used on
/// all cores.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use saferring_tls::TlsConnector;
/// use saferring_tls::rustls::{ClientConfig, RootCertStore};
///
/// let roots = RootCertStore::empty(); // see the features `webpki-roots` and `native-roots`
/// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
/// let connector = TlsConnector::from(Arc::new(config));
/// # let _ = connector;
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        TlsConnector { config }
    }
}

impl TlsConnector {
    /// Makes the handshake with the server at the other end of `stream`, which must prove to be `name`.
    ///
    /// `"example.com".try_into()` makes a name. There is no bound on the time: see [`timeout`](saferring::time::timeout).
    ///
    /// With TLS 1.3 it is done before the server has looked at the client's certificate, if it wants one; what it thinks of it is
    /// then told by the first read.
    ///
    /// # Errors
    ///
    /// `InvalidData` with the [`rustls::Error`] inside ([`io::Error::get_ref`]) if the handshake fails. The server was told by an
    /// alert before, unless it is the one who told, or rustls has none for it (a message that is too long). `UnexpectedEof` if the transport ends before, and what it has to report.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream, which ends the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn connect(connector: saferring_tls::TlsConnector) -> Result<(), Box<dyn std::error::Error>> {
    /// use saferring::net::TcpStream;
    /// use saferring::time::{Duration, timeout};
    ///
    /// let stream = TcpStream::connect("example.com:443").await?;
    /// let handshake = connector.connect("example.com".try_into()?, stream);
    /// let stream = timeout(Duration::from_secs(10), handshake).await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<S: AsyncRead + AsyncWrite>(
        &self,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config);
        let connection = UnbufferedClientConnection::new(config, name).map_err(error::tls)?;
        TlsStream::begin(Engine::Client(connection), stream).await
    }

    /// The configuration.
    ///
    /// ```
    /// # let config = std::sync::Arc::new(saferring_tls::rustls::ClientConfig::builder()
    /// #     .with_root_certificates(saferring_tls::rustls::RootCertStore::empty()).with_no_client_auth());
    /// let connector = saferring_tls::TlsConnector::from(config);
    /// assert!(connector.config().enable_sni);
    /// ```
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// Makes TLS connections of what a listener accepts.
///
/// Its connections, and those of its clones, resume sessions as its configuration says, which may be used on all cores. Early data
/// (0-RTT), which anybody could send once more, is not for this crate: a configuration that allows it is taken without.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
/// use saferring_tls::TlsAcceptor;
/// use saferring_tls::rustls::ServerConfig;
/// use saferring_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
///
/// # fn acceptor() -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
/// let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<Vec<_>, _>>()?;
/// let key = PrivateKeyDer::from_pem_file("key.pem")?;
/// let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
/// Ok(TlsAcceptor::from(Arc::new(config)))
/// # }
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(mut config: Arc<ServerConfig>) -> Self {
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        TlsAcceptor { config }
    }
}

impl TlsAcceptor {
    /// Makes the handshake with the client at the other end of `stream`.
    ///
    /// There is no bound on the time, and a client may take as long as it likes: see [`timeout`](saferring::time::timeout).
    ///
    /// # Errors
    ///
    /// As of [`TlsConnector::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream, which ends the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn accept(acceptor: saferring_tls::TlsAcceptor) -> Result<(), Box<dyn std::error::Error>> {
    /// use saferring::net::TcpListener;
    /// use saferring::time::{Duration, timeout};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let (stream, _peer) = listener.accept().await?;
    /// let stream = timeout(Duration::from_secs(10), acceptor.accept(stream)).await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept<S: AsyncRead + AsyncWrite>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config);
        let connection = UnbufferedServerConnection::new(config).map_err(error::tls)?;
        TlsStream::begin(Engine::Server(connection), stream).await
    }

    /// The configuration.
    ///
    /// ```no_run
    /// # fn example(acceptor: saferring_tls::TlsAcceptor) {
    /// assert_eq!(acceptor.config().max_early_data_size, 0);
    /// # }
    /// ```
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

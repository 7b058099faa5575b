//! Certificates, configurations and transports for the tests.

use std::io;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncRead, AsyncWrite};
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::Runtime;
use saferring_tests::bounded;
use saferring_tls::rustls::pki_types::{PrivateKeyDer, ServerName};
use saferring_tls::rustls::server::WebPkiClientVerifier;
use saferring_tls::rustls::{
    ClientConfig, Error, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use saferring_tls::{TlsAcceptor, TlsConnector, TlsStream};

pub(crate) use saferring_tls::rustls::version::{TLS12, TLS13};

pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// Who signs all certificates here.
pub(crate) static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// Runs a test on a runtime of its own.
#[track_caller]
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

pub(crate) fn localhost() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

pub(crate) fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.der().clone()).unwrap();
    Arc::new(roots)
}

/// The configurations of a client and a server; tests change them.
pub(crate) fn configs(
    versions: &[&'static SupportedProtocolVersion],
) -> (ClientConfig, ServerConfig) {
    let client = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots())
        .with_no_client_auth();
    let builder = ServerConfig::builder_with_protocol_versions(versions).with_no_client_auth();
    let (chain, key) = certificate("localhost", |_| ());
    (client, builder.with_single_cert(chain, key).unwrap())
}

type Certificate = (
    Vec<saferring_tls::rustls::pki_types::CertificateDer<'static>>,
    PrivateKeyDer<'static>,
);

/// A certificate of the authority's, and its key.
pub(crate) fn certificate(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &AUTHORITY).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (vec![certificate.der().clone()], key)
}

/// A certificate whose time is over.
pub(crate) fn expired() -> Certificate {
    certificate("localhost", |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    })
}

/// A server that wants certificates of its clients.
pub(crate) fn wants_clients(server: ServerConfig) -> ServerConfig {
    let verifier = WebPkiClientVerifier::builder(roots()).build().unwrap();
    let (chain, key) = certificate("localhost", |_| ());
    drop(server);
    ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap()
}

pub(crate) fn ends((client, server): (ClientConfig, ServerConfig)) -> (TlsConnector, TlsAcceptor) {
    (
        TlsConnector::from(Arc::new(client)),
        TlsAcceptor::from(Arc::new(server)),
    )
}

/// Two streams, connected with each other by a socket pair.
pub(crate) fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// The same over loopback.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (client, server) = futures_util::join!(TcpStream::connect(addr), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Makes both handshakes at once.
pub(crate) async fn both<C, S>(
    (connector, acceptor): &(TlsConnector, TlsAcceptor),
    (client, server): (C, S),
) -> (io::Result<TlsStream<C>>, io::Result<TlsStream<S>>)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    futures_util::join!(
        connector.connect(localhost(), client),
        acceptor.accept(server)
    )
}

/// A connection over a socket pair, with what rustls thinks fit.
pub(crate) async fn connected() -> (TlsStream<UnixStream>, TlsStream<UnixStream>) {
    connected_by(&ends(configs(BOTH)), pair()).await
}

pub(crate) async fn connected_by<C, S>(
    ends: &(TlsConnector, TlsAcceptor),
    pair: (C, S),
) -> (TlsStream<C>, TlsStream<S>)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (client, server) = both(ends, pair).await;
    (client.unwrap(), server.unwrap())
}

/// The error of rustls that an error has inside.
#[track_caller]
pub(crate) fn tls_error(error: &io::Error) -> &Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.unwrap_or_else(|| panic!("no error of rustls: {error:?}"))
}

/// What is still to be read, to the end.
pub(crate) async fn rest(reader: &mut impl AsyncRead) -> (io::Result<()>, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let (read, buf) = reader.read(Vec::with_capacity(1000)).await;
        match read {
            Ok(0) => return (Ok(()), all),
            Ok(n) => {
                assert_eq!(n, buf.len());
                all.extend(buf);
            }
            Err(error) => return (Err(error), all),
        }
    }
}

/// A transport of which one read gives, and one write takes, so many bytes at most; the first read up to `first`.
pub(crate) struct Narrow<S> {
    pub(crate) inner: S,
    pub(crate) first: usize,
    pub(crate) most: usize,
}

impl<S> Narrow<S> {
    pub(crate) fn new(most: usize, inner: S) -> Self {
        Narrow {
            inner,
            first: most,
            most,
        }
    }
}

impl<S: AsyncRead> AsyncRead for Narrow<S> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let most = self.first;
        let (read, buf) = self.inner.read(buf.slice(..most)).await;
        self.first -= *read.as_ref().unwrap_or(&0);
        if self.first == 0 {
            self.first = self.most;
        }
        (read, buf.into_inner())
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.read_vectored(bufs).await
    }
}

impl<S: AsyncWrite> AsyncWrite for Narrow<S> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let most = self.most;
        let (written, buf) = self.inner.write(buf.slice(..most)).await;
        (written, buf.into_inner())
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.write_vectored(bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown().await
    }
}

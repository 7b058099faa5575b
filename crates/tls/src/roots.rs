//! Whom to trust.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::error;

/// A configuration that trusts the roots that Mozilla trusts. They are part of the program, and get old with it.
///
/// # Errors
///
/// `InvalidData` with the [`rustls::Error`] inside, if rustls cannot be set up.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use saferring_tls::TlsConnector;
///
/// let mut config = saferring_tls::client_config_with_webpki_roots()?;
/// config.alpn_protocols = vec![b"http/1.1".to_vec()];
/// let connector = TlsConnector::from(Arc::new(config));
/// # let _ = connector;
/// # Ok::<_, std::io::Error>(())
/// ```
#[cfg(feature = "webpki-roots")]
pub fn client_config_with_webpki_roots() -> io::Result<ClientConfig> {
    config(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}

/// A configuration that trusts the roots that this system trusts, read from its files: it takes some milliseconds, and blocks.
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
///
/// # Errors
///
/// `NotFound` if there are none; those that are there, but cannot be read, are left out unless none is left. `InvalidData` with the
/// [`rustls::Error`] inside, if rustls cannot be set up.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
/// use saferring_tls::TlsConnector;
///
/// let config = saferring_tls::client_config_with_native_roots()?;
/// let connector = TlsConnector::from(Arc::new(config));
/// # Ok::<_, std::io::Error>(())
/// ```
#[cfg(feature = "native-roots")]
pub fn client_config_with_native_roots() -> io::Result<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = match found.errors.first() {
            Some(error) => {
                format!("this system has no root certificates that can be read: {error}")
            }
            None => "this system has no root certificates".to_owned(),
        };
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> io::Result<ClientConfig> {
    // Not the process's default provider: there is none where another crate has switched on a second one.
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(error::tls)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

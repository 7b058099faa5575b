//! The server's certificate.

use std::error::Error;
use std::path::Path;

use saferring_tls::rustls::pki_types::pem::PemObject;
use saferring_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads it from files.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Pair, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|all| all.collect::<Result<Vec<_>, _>>())
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: there is no certificate in it", certificate.display()).into());
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    Ok((chain, private))
}

/// Makes one that nobody trusts.
pub(crate) fn make() -> Result<Pair, Box<dyn Error>> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok((vec![made.cert.der().clone()], key))
}

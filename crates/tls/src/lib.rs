//! x
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TlsStream;

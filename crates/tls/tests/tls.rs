//! Clients and servers of this crate with each other, and with peers that do not keep to the rules.

#[path = "tls/cancel.rs"]
mod cancel;
#[path = "tls/common.rs"]
mod common;
#[path = "tls/halves.rs"]
mod halves;
#[path = "tls/handshake.rs"]
mod handshake;
#[path = "tls/meddling.rs"]
mod meddling;
#[path = "tls/reasons.rs"]
mod reasons;
#[path = "tls/streams.rs"]
mod streams;

saferring_tests::also_on_software!();

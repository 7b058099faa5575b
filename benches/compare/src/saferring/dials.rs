//! saferring with one of its dials turned: echo only, and only if asked for by name.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use saferring::runtime::Builder;

use super::{echo_chunks, serve};
use crate::contender::{Contender, Done, EchoSpec};

/// What the names of these begin with.
pub(crate) const DIAL: &str = "dial ";

type Echo = fn(TcpListener, EchoSpec) -> io::Result<()>;

pub(super) fn all() -> Vec<Contender> {
    let dial = |name, what, echo: Echo| Contender {
        name,
        what,
        echo: Some(echo),
        udp_echo: None,
        work: |_, _| Ok(Done::Unsupported),
    };
    vec![
        dial("dial min-wait", "min_wait(50 µs, 8)", |listener, _| {
            with(
                Builder::new().min_wait(Duration::from_micros(50), 8),
                listener,
            )
        }),
        dial("dial sqpoll", "sqpoll(1 ms)", |listener, _| {
            with(Builder::new().sqpoll(Duration::from_millis(1)), listener)
        }),
        dial("dial napi", "napi(50 µs, prefer)", |listener, _| {
            with(
                Builder::new().napi(Duration::from_micros(50), true),
                listener,
            )
        }),
        dial("dial interval-16", "event_interval(16)", |listener, _| {
            with(Builder::new().event_interval(16), listener)
        }),
        dial(
            "dial interval-4096",
            "event_interval(4096)",
            |listener, _| with(Builder::new().event_interval(4096), listener),
        ),
    ]
}

fn with(builder: Builder, listener: TcpListener) -> io::Result<()> {
    serve(builder.build()?, listener, echo_chunks)
}

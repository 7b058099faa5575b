//! The hand-written loops: what the others are measured against.
//!
//! One thread, one ring with every flag that pays, one enter a turn, no allocation and no dynamic call on the way.

mod buffers;
mod connections;
mod echo;
mod files;
pub(crate) mod ring;
mod single;
mod tasks;
mod udp;

use std::io;

use crate::contender::{Contender, Control, Done, TwoCores, Work};

const RAW: Contender = Contender {
    name: "raw",
    what: "hand-written io_uring loop: SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL, NO_SQARRAY, registered ring, NO_IOWAIT, \
           multishot accept and receive, buffer ring",
    echo: Some(echo::serve),
    two_cores: TwoCores::Threads,
    web: |_| None,
    udp_echo: Some(udp::serve),
    work: plain,
};

/// As the comparison has them: raw at its best.
pub(crate) fn compared() -> Vec<Contender> {
    vec![
        RAW,
        again(RAW),
        Contender::server(
            "raw-single",
            "raw with one receive (POLL_FIRST) and one send a request, into the connection's own buffer",
            single::serve,
        ),
        Contender::worker(
            "raw-fixed",
            "raw with registered buffers and registered files",
            registered,
        ),
    ]
}

/// As the ratios have them: raw with what an await of each operation comes down to.
pub(crate) fn ratios() -> Vec<Contender> {
    let raw = Contender {
        what: "hand-written io_uring loop: one receive and one send a request, ordinary files and buffers",
        echo: Some(single::serve),
        ..RAW
    };
    vec![
        raw,
        again(raw),
        Contender::server(
            "raw multishot",
            "multishot receive into a buffer ring",
            echo::serve,
        ),
        Contender::worker("raw registered", "registered buffers and files", registered),
    ]
}

/// The A/A control.
fn again(raw: Contender) -> Contender {
    Contender {
        name: "raw (again)",
        what: "a second process of raw: the A/A control",
        ..raw
    }
}

fn plain(work: Work, control: Control) -> io::Result<Done> {
    let control = control.count(ring::enters);
    match work {
        Work::Read { .. } | Work::Write(_) | Work::Copy(..) => files::run(work, control, false),
        other => tasks::run(other, control),
    }
}

fn registered(work: Work, control: Control) -> io::Result<Done> {
    files::run(work, control.count(ring::enters), true)
}

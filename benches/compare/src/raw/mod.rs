//! The hand-written loops: what the others are measured against.
//!
//! One thread, one ring with every flag that pays, one enter a turn, no allocation and no dynamic call on the way.

mod connections;
mod copy;
mod echo;
mod read;
mod single;
mod tasks;
mod udp;

use std::io;

use crate::contender::{Contender, Control, Done, Work};

pub(crate) fn all() -> Vec<Contender> {
    let raw = Contender {
        name: "raw",
        what: "hand-written io_uring loop: SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL, NO_SQARRAY, registered ring, NO_IOWAIT, \
               multishot accept and receive, buffer ring",
        echo: Some(echo::serve),
        udp_echo: Some(udp::serve),
        work: plain,
    };
    vec![
        raw,
        Contender {
            name: "raw (again)",
            what: "a second process of raw: the A/A control",
            ..raw
        },
        Contender {
            name: "raw-single",
            what: "raw with one receive (POLL_FIRST) and one send a request, into the connection's own buffer",
            echo: Some(single::serve),
            udp_echo: None,
            work: |_, _| Ok(Done::Unsupported),
        },
        Contender {
            name: "raw-fixed",
            what: "raw with registered buffers and registered files",
            echo: None,
            udp_echo: None,
            work: registered,
        },
    ]
}

fn plain(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::RandomRead { .. } | Work::SequentialRead { .. } => read::run(work, control, false),
        Work::Copy { .. } => copy::run(work, control, false),
        other => tasks::run(other, control),
    }
}

fn registered(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::RandomRead { .. } | Work::SequentialRead { .. } => read::run(work, control, true),
        Work::Copy { .. } => copy::run(work, control, true),
        _ => Ok(Done::Unsupported),
    }
}

/// A read that ended short, or a write: the files here have whole blocks.
fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block ended short")
}

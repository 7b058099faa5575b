//! A process of the comparison: a contender's, or one that asks it.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Done, EchoSpec, Work};
use crate::control::{Control, Message, say};
use crate::load::{self, Target};
use crate::measure::{learn_cores, stay_on_first_core, stay_on_second_core};

/// What a process is started for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Standard input is the listener.
    Echo(EchoSpec),
    /// Standard input is the socket.
    Udp(EchoSpec),
    Work(Work),
    /// Not a contender's: asks a server.
    Load(Target),
}

/// What the parent says on the command line, behind `--child`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) contender: String,
    pub(crate) task: Task,
    pub(crate) parent: u32,
    pub(crate) cores: Vec<usize>,
}

/// If this process is a child, does what the parent says, reports a failure to it, and returns true.
pub(crate) fn run_if_child(contenders: &[Contender]) -> bool {
    let mut args = std::env::args().skip_while(|arg| arg != "--child").skip(1);
    let Some(orders) = args.next() else {
        return false;
    };
    let done = serde_json::from_str(&orders).map_err(io::Error::from);
    say(&match done.and_then(|orders| obey(contenders, orders)) {
        Ok(Done::Ended) => Message::Ended,
        Ok(Done::Unsupported) => Message::Unsupported,
        Err(error) => Message::Failed(error.to_string()),
    });
    true
}

fn obey(contenders: &[Contender], orders: Orders) -> io::Result<Done> {
    // However the parent ends, the kernel kills this process then.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if parent_id() != orders.parent {
        return Err(io::Error::other("the parent has ended"));
    }
    learn_cores(Some(orders.cores));
    if let Task::Load(target) = orders.task {
        stay_on_second_core();
        return load::run(target, Control::default());
    }
    let mut contenders = contenders.iter();
    let contender = contenders.find(|contender| contender.name == orders.contender);
    stay_on_first_core();
    serve(contender.ok_or(io::ErrorKind::NotFound)?, orders.task)
}

fn serve(contender: &Contender, task: Task) -> io::Result<Done> {
    match (task, contender.echo, contender.udp_echo) {
        (Task::Echo(spec), Some(echo), _) => echo(TcpListener::from(stdin()?), spec)?,
        (Task::Udp(spec), _, Some(echo)) => echo(UdpSocket::from(stdin()?), spec)?,
        (Task::Work(work), ..) => return do_work(contender, work, Control::default),
        _ => return Ok(Done::Unsupported),
    }
    Ok(Done::Ended)
}

/// Does the work, or what comes nearest to it.
pub(crate) fn do_work(
    contender: &Contender,
    work: Work,
    control: impl Fn() -> Control,
) -> io::Result<Done> {
    let done = (contender.work)(work.clone(), control())?;
    match work.without_streams() {
        Some(reads) if done == Done::Unsupported => (contender.work)(reads, control()),
        _ => Ok(done),
    }
}

fn stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

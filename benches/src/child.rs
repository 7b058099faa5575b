//! A process of the comparison: a contender's, or one that asks it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, parent_id};
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Done, Echo, EchoSpec, TwoCores, Work, say_listening};
use crate::control::{Control, Message, say};
use crate::keys;
use crate::load::{self, Target, Way};
use crate::measure::{learn_cores, stay_on_both_cores, stay_on_core};
use crate::sockets::listeners;
use crate::web::Web;

/// What a process is started for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Standard input is the listener.
    Echo(EchoSpec),
    /// Standard input is the socket.
    Udp(EchoSpec),
    /// Standard input is the listener; a message is a body, or what is in a frame.
    Web(Web, EchoSpec),
    /// It says where it listens.
    TwoCores(EchoSpec),
    /// Becomes another program, which serves keys at this address.
    Keys(SocketAddr),
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
        match target.way {
            Way::TwoCores => stay_on_both_cores(),
            _ => stay_on_core(1),
        }
        return load::run(target, Control::default());
    }
    let mut contenders = contenders.iter();
    let contender = contenders.find(|contender| contender.name == orders.contender);
    match orders.task {
        Task::TwoCores(_) => stay_on_both_cores(),
        _ => stay_on_core(0),
    }
    serve(contender.ok_or(io::ErrorKind::NotFound)?, orders.task)
}

fn serve(contender: &Contender, task: Task) -> io::Result<Done> {
    match (task, contender.echo, contender.udp_echo) {
        (Task::Echo(spec), Some(echo), _) => echo(TcpListener::from(stdin()?), spec)?,
        (Task::Web(web, spec), ..) => match (contender.web)(web) {
            Some(serve) => serve(TcpListener::from(stdin()?), spec)?,
            None => return Ok(Done::Unsupported),
        },
        (Task::Udp(spec), _, Some(echo)) => echo(UdpSocket::from(stdin()?), spec)?,
        (Task::TwoCores(spec), echo, _) => match (contender.two_cores, echo) {
            (TwoCores::Own(serve), _) => serve(spec)?,
            (TwoCores::Threads, Some(echo)) => on_two_threads(echo, spec)?,
            _ => return Ok(Done::Unsupported),
        },
        (Task::Keys(addr), ..) => match keys::command(contender.name, addr) {
            Some(mut command) => return Err(command.exec()),
            None => return Ok(Done::Unsupported),
        },
        (Task::Work(work), ..) => return do_work(contender, work, Control::default),
        _ => return Ok(Done::Unsupported),
    }
    Ok(Done::Ended)
}

/// A thread on each core, with a socket of its own at the same port. Ends with the first error.
fn on_two_threads(echo: Echo, spec: EchoSpec) -> io::Result<()> {
    let sockets = listeners::<2>()?;
    say_listening(sockets[0].local_addr()?);
    let (ended, ends) = channel();
    for (core, socket) in sockets.into_iter().enumerate() {
        let ended = ended.clone();
        thread::spawn(move || {
            stay_on_core(core);
            // Who waits for it is there as long as the process.
            let _ = ended.send(echo(socket, spec));
        });
    }
    ends.recv().map_err(io::Error::other)?
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

//! A process of the comparison: a contender's, or one that asks it.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;

use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Done, EchoSpec, Work};
use crate::control::{Control, Message, say};
use crate::load::{self, Target};

/// What a contender's process is started for.
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

/// Does what the command line says, and reports a failure to the parent.
pub(crate) fn run(contenders: &[Contender], name: &str, task: &str, parent: u32) {
    die_with(parent);
    let contender = contenders.iter().find(|contender| contender.name == name);
    let done = match (serde_json::from_str(task), contender) {
        (Ok(Task::Load(target)), _) => {
            crate::cores::leave_for_other();
            load::run(target, Control::default()).map(|()| Done::Ended)
        }
        (Ok(task), Some(contender)) => {
            crate::cores::serve();
            serve(contender, task)
        }
        (Err(error), _) => Err(error.into()),
        (_, None) => Err(io::Error::other("there is no such contender")),
    };
    say(&match done {
        Ok(Done::Ended) => Message::Ended,
        Ok(Done::Unsupported) => Message::Unsupported,
        Err(error) => Message::Failed(error.to_string()),
    });
}

fn serve(contender: &Contender, task: Task) -> io::Result<Done> {
    match task {
        Task::Echo(spec) => match contender.echo {
            Some(echo) => echo(TcpListener::from(stdin()?), spec).map(|()| Done::Ended),
            None => Ok(Done::Unsupported),
        },
        Task::Udp(spec) => match contender.udp_echo {
            Some(echo) => echo(UdpSocket::from(stdin()?), spec).map(|()| Done::Ended),
            None => Ok(Done::Unsupported),
        },
        Task::Work(work) => {
            let done = (contender.work)(work.clone(), Control::default())?;
            match work.without_streams() {
                Some(reads) if done == Done::Unsupported => {
                    (contender.work)(reads, Control::default())
                }
                _ => Ok(done),
            }
        }
        Task::Load(_) => Ok(Done::Unsupported),
    }
}

fn stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// Lets the kernel kill this process when its parent ends, however that ends.
fn die_with(parent: u32) {
    // SAFETY: PR_SET_PDEATHSIG takes a number and no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if parent_id() != parent {
        std::process::exit(1); // It had ended before that.
    }
}

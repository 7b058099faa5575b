//! Servers of keys and values, which are programs of their own.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::{Contender, Done};
use crate::options::target_dir;
use crate::runtimes::saferring::OURS;

/// What the others are compared with.
pub(crate) const REDIS: &str = "redis";

/// The A/A control.
pub(crate) const REDIS_AGAIN: &str = "redis (again)";

const EXAMPLE: &str = "kv_server";

pub(crate) fn compared() -> Vec<Contender> {
    let one = |name, what| Contender::worker(name, what, |_, _| Ok(Done::Unsupported));
    vec![
        one(
            REDIS,
            "the redis-server of the system, without a log and without snapshots",
        ),
        one(
            REDIS_AGAIN,
            "a second process of redis-server: the A/A control",
        ),
    ]
}

/// What serves keys for a contender at this address on one core and keeps nothing on disk; `None` if it does not, or is not
/// installed.
pub(crate) fn command(contender: &str, addr: SocketAddr) -> Option<Command> {
    let (program, args) = match contender {
        OURS => (example(), format!("--addr {addr} --cores 1")),
        REDIS | REDIS_AGAIN => {
            let (ip, port) = (addr.ip(), addr.port());
            let args = format!("--bind {ip} --port {port} --appendonly no --loglevel warning");
            (installed("redis-server")?, args)
        }
        _ => return None,
    };
    let mut command = Command::new(&program);
    command.args(args.split(' '));
    if contender != OURS {
        command.args(["--save", ""]);
    }
    program.exists().then_some(command)
}

/// Where a program is that a shell would find.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut found = env::split_paths(&path).map(|dir| dir.join(name));
    found.find(|program| program.is_file())
}

fn example() -> PathBuf {
    target_dir().join("release/examples").join(EXAMPLE)
}

/// Builds what the contender's server is, if that is the example: it is not part of this program.
///
/// # Errors
///
/// If it cannot be built; the compiler has said why.
pub(crate) fn prepare(contender: &str) -> io::Result<()> {
    if contender != OURS {
        return Ok(());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let manifest = workspace.unwrap_or(Path::new(".")).join("Cargo.toml");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "saferring"])
        .args(["--example", EXAMPLE, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir())
        .status()?;
    match built.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "the example {EXAMPLE} could not be built ({built})"
        ))),
    }
}

//! The commands that no key is needed for: what a connection is, and what the server is.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::command::{COMMANDS, by_name, describe, text, wrong_count};
use crate::glob;
use crate::resp::{Args, integer, reply};
use crate::server::Server;

/// The redis whose commands and answers these are.
const VERSION: &str = "7.0.15";

/// What is known of a connection.
pub(crate) struct Session {
    server: Arc<Server>,
    id: u64,
    name: Vec<u8>,
    /// It has said good bye.
    pub(crate) is_over: bool,
}

impl Session {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        server.clients.fetch_add(1, Relaxed);
        Session {
            id: server.connections.fetch_add(1, Relaxed) + 1,
            server,
            name: Vec::new(),
            is_over: false,
        }
    }

    /// Says if the name may be one.
    fn set_name(&mut self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let is_good = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
        if is_good {
            self.name = name.to_vec();
        } else {
            let text = b"ERR Client names cannot contain spaces, newlines or special characters.";
            reply::error(out, text);
        }
        is_good
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.clients.fetch_sub(1, Relaxed);
    }
}

pub(crate) fn ping(_: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    match args.len() {
        0 => reply::simple(out, "PONG"),
        1 => reply::bulk(out, args.get(0)),
        _ => wrong_count("ping", out),
    }
}

pub(crate) fn echo(_: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    reply::bulk(out, args.get(0));
}

pub(crate) fn select(_: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    match integer(args.get(0)).map(i32::try_from) {
        Some(Ok(0)) => reply::ok(out),
        Some(Ok(_)) => reply::error(out, b"ERR DB index is out of range"),
        Some(Err(_)) => {
            let text = b"ERR value is out of range, value must between -2147483648 and 2147483647";
            reply::error(out, text);
        }
        None => reply::error(out, b"ERR value is not an integer or out of range"),
    }
}

pub(crate) fn quit(session: &mut Session, _: Args<'_>, out: &mut Vec<u8>) {
    session.is_over = true;
    reply::ok(out);
}

/// The subcommand, in capitals, if it may have so many arguments.
fn subcommand(
    of: &str,
    args: Args<'_>,
    known: &[(&str, std::ops::RangeInclusive<usize>)],
    out: &mut Vec<u8>,
) -> Option<String> {
    let name = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
    match known.iter().find(|(known, _)| *known == name) {
        Some((_, counts)) if counts.contains(&(args.len() - 1)) => return Some(name),
        Some((known, _)) => wrong_count(&format!("{of}|{known}"), out),
        None => {
            let help = format!("'. Try {} HELP.", of.to_ascii_uppercase());
            let parts = [
                b"ERR unknown subcommand '",
                text(args.get(0), 128),
                help.as_bytes(),
            ];
            reply::error(out, &parts.concat());
        }
    }
    None
}

pub(crate) fn client(session: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    let known = [
        ("getname", 0..=0),
        ("setname", 1..=1),
        ("setinfo", 2..=2),
        ("id", 0..=0),
    ];
    let Some(name) = subcommand("client", args, &known, out) else {
        return;
    };
    match &name[..] {
        "getname" if session.name.is_empty() => reply::null(out),
        "getname" => reply::bulk(out, &session.name),
        "id" => reply::integer(out, session.id as i64),
        "setname" => {
            if session.set_name(args.get(1), out) {
                reply::ok(out);
            }
        }
        // Which library the client has is nothing to us.
        _ => reply::ok(out),
    }
}

/// This server speaks RESP2, and says so.
pub(crate) fn hello(session: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    if args.len() > 0 {
        match integer(args.get(0)) {
            Some(2) => {}
            Some(_) => return reply::error(out, b"NOPROTO unsupported protocol version"),
            None => {
                let text = b"ERR Protocol version is not an integer or out of range";
                return reply::error(out, text);
            }
        }
    }
    let mut options = args.after(1);
    while options.len() > 0 {
        let name = options.get(0);
        if name.eq_ignore_ascii_case(b"setname") && options.len() > 1 {
            if !session.set_name(options.get(1), out) {
                return;
            }
        } else {
            let parts = [b"ERR Syntax error in HELLO option '", name, b"'"];
            return reply::error(out, &parts.concat());
        }
        options = options.after(2);
    }
    reply::array(out, 14);
    for (name, value) in [("server", "redis"), ("version", VERSION)] {
        reply::bulk(out, name.as_bytes());
        reply::bulk(out, value.as_bytes());
    }
    for (name, value) in [("proto", 2), ("id", session.id as i64)] {
        reply::bulk(out, name.as_bytes());
        reply::integer(out, value);
    }
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply::bulk(out, name.as_bytes());
        reply::bulk(out, value.as_bytes());
    }
    reply::bulk(out, b"modules");
    reply::array(out, 0);
}

pub(crate) fn config(session: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    if subcommand("config", args, &[("get", 1..=usize::MAX)], out).is_none() {
        return;
    }
    let options = &session.server.options;
    let dir = options
        .dir
        .as_ref()
        .map(|dir| dir.to_string_lossy().into_owned());
    let known = [
        ("save", String::new()),
        ("appendonly", yes(dir.is_some()).to_owned()),
        ("appendfsync", options.append.name().to_owned()),
        ("dir", dir.unwrap_or_default()),
        ("databases", "1".to_owned()),
        ("maxmemory", "0".to_owned()),
        ("proto-max-bulk-len", "536870912".to_owned()),
    ];
    let patterns: Vec<_> = args
        .after(1)
        .iter()
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let is_asked = |name: &str| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| glob::matches(pattern, name.as_bytes()))
    };
    let told: Vec<_> = known.iter().filter(|(name, _)| is_asked(name)).collect();
    reply::array(out, 2 * told.len());
    for (name, value) in told {
        reply::bulk(out, name.as_bytes());
        reply::bulk(out, value.as_bytes());
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

pub(crate) fn command(_: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    let all = |out: &mut Vec<u8>| {
        reply::array(out, COMMANDS.len());
        COMMANDS.iter().for_each(|command| describe(command, out));
    };
    if args.len() == 0 {
        return all(out);
    }
    let any = 0..=usize::MAX;
    let known = [("count", 0..=0), ("docs", any.clone()), ("info", any)];
    match subcommand("command", args, &known, out).as_deref() {
        None => {}
        Some("count") => reply::integer(out, COMMANDS.len() as i64),
        // There are none; redis-cli then completes names by what it knows itself.
        Some("docs") => reply::array(out, 0),
        Some(_) if args.len() == 1 => all(out),
        Some(_) => {
            reply::array(out, args.len() - 1);
            for name in args.after(1).iter() {
                match by_name(name) {
                    Some(command) => describe(command, out),
                    None => out.extend_from_slice(b"*-1\r\n"),
                }
            }
        }
    }
}

pub(crate) fn info(session: &mut Session, args: Args<'_>, out: &mut Vec<u8>) {
    let server = &session.server;
    let sum = |of: fn(&crate::server::Totals) -> u64| server.totals.iter().map(of).sum::<u64>();
    let sections = [
        (
            "Server",
            format!(
                "redis_version:{VERSION}\r\nredis_mode:standalone\r\nprocess_id:{}\r\ntcp_port:{}\r\n\
                 uptime_in_seconds:{}\r\ncores:{}\r\n",
                std::process::id(),
                server.port,
                server.started.elapsed().as_secs(),
                server.totals.len(),
            ),
        ),
        (
            "Clients",
            format!("connected_clients:{}\r\n", server.clients.load(Relaxed)),
        ),
        (
            "Persistence",
            format!(
                "loading:0\r\naof_enabled:{}\r\naof_last_write_status:{}\r\naof_current_size:{}\r\naof_rewrites:{}\r\n",
                u8::from(server.options.dir.is_some()),
                if sum(|totals| totals.in_trouble.load(Relaxed)) == 0 {
                    "ok"
                } else {
                    "err"
                },
                sum(|totals| totals.log_len.load(Relaxed)),
                sum(|totals| totals.rewrites.load(Relaxed)),
            ),
        ),
        (
            "Keyspace",
            match sum(|totals| totals.keys.load(Relaxed)) {
                0 => String::new(),
                keys => {
                    let mortal = sum(|totals| totals.mortal.load(Relaxed));
                    format!("db0:keys={keys},expires={mortal},avg_ttl=0\r\n")
                }
            },
        ),
    ];
    let is_asked = |section: &str| {
        let mut names = args.iter();
        args.len() == 0
            || names.any(|name| {
                [&b"all"[..], b"default", b"everything", section.as_bytes()]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
    };
    let mut text = String::new();
    for (name, lines) in sections.iter().filter(|(name, _)| is_asked(name)) {
        let between = if text.is_empty() { "" } else { "\r\n" };
        let _ = write!(text, "{between}# {name}\r\n{lines}"); // To a string, which takes all.
    }
    reply::bulk(out, text.as_bytes());
}

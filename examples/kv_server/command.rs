//! The commands: what they are called, how many arguments they have, which keys they touch, and who carries them out.

use crate::keys;
use crate::resp::{Args, integer, reply};
use crate::session::{self, Session};
use crate::store::{Clock, Store};

/// What a command does to the keys of one shard. Its arguments come without its name.
pub(crate) type OnShard = fn(&mut Store, &Clock, Args<'_>, &mut Vec<u8>);

pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// How many arguments it has with its name; as a negative number, how many at least.
    arity: i64,
    /// Whether it may change a key.
    pub(crate) writes: bool,
    pub(crate) place: Place,
}

/// Where a command is carried out.
pub(crate) enum Place {
    /// At the connection, which knows enough to answer.
    Connection(fn(&mut Session, Args<'_>, &mut Vec<u8>)),
    /// At the shard of its first argument.
    Key(OnShard),
    /// For each key where that is: a part for each so many arguments.
    Keys(usize, Merge, OnShard),
    /// At every shard.
    Shards(Merge, OnShard),
}

/// How the answers of a command's parts make one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Merge {
    /// There is only one.
    One,
    /// As the members of a list.
    List,
    /// Lists as one list.
    Lists,
    /// Numbers as their sum.
    Sum,
    /// If all went well, it did.
    Ok,
}

const fn command(name: &'static str, arity: i64, place: Place) -> Command {
    Command {
        name,
        arity,
        writes: false,
        place,
    }
}

const fn write(name: &'static str, arity: i64, place: Place) -> Command {
    Command {
        name,
        arity,
        writes: true,
        place,
    }
}

/// All that there are; those in most use first.
pub(crate) static COMMANDS: &[Command] = &[
    command("get", 2, Place::Key(keys::get)),
    write("set", -3, Place::Key(keys::set)),
    write("del", -2, Place::Keys(1, Merge::Sum, keys::del)),
    write("incr", 2, Place::Key(keys::incr)),
    command("mget", -2, Place::Keys(1, Merge::List, keys::get)),
    write("mset", -3, Place::Keys(2, Merge::Ok, keys::mset)),
    command("exists", -2, Place::Keys(1, Merge::Sum, keys::exists)),
    write("expire", -3, Place::Key(keys::expire)),
    command("ttl", 2, Place::Key(keys::ttl)),
    write("decr", 2, Place::Key(keys::decr)),
    write("incrby", 3, Place::Key(keys::incrby)),
    write("decrby", 3, Place::Key(keys::decrby)),
    write("pexpire", -3, Place::Key(keys::pexpire)),
    command("pttl", 2, Place::Key(keys::pttl)),
    write("persist", 2, Place::Key(keys::persist)),
    command("strlen", 2, Place::Key(keys::strlen)),
    command("type", 2, Place::Key(keys::kind)),
    command("keys", 2, Place::Shards(Merge::Lists, keys::keys)),
    command("dbsize", 1, Place::Shards(Merge::Sum, keys::dbsize)),
    write("flushall", -1, Place::Shards(Merge::Ok, keys::flush)),
    write("flushdb", -1, Place::Shards(Merge::Ok, keys::flush)),
    command("ping", -1, Place::Connection(session::ping)),
    command("echo", 2, Place::Connection(session::echo)),
    command("select", 2, Place::Connection(session::select)),
    command("quit", -1, Place::Connection(session::quit)),
    command("info", -1, Place::Connection(session::info)),
    command("config", -2, Place::Connection(session::config)),
    command("client", -2, Place::Connection(session::client)),
    command("hello", -1, Place::Connection(session::hello)),
    command("command", -1, Place::Connection(session::command)),
];

/// The command that a request names, if it may have so many arguments; if not, the client is told.
pub(crate) fn find(args: Args<'_>, out: &mut Vec<u8>) -> Option<&'static Command> {
    let name = args.get(0);
    let Some(command) = by_name(name) else {
        unknown(args, out);
        return None;
    };
    let count = args.len() as i64;
    let fits = match command.arity {
        exactly @ 0.. => count == exactly,
        least => count >= -least,
    };
    let whole = match command.place {
        Place::Keys(step, ..) => (args.len() - 1) % step == 0,
        _ => true,
    };
    if fits && whole {
        return Some(command);
    }
    wrong_count(command.name, out);
    None
}

pub(crate) fn by_name(name: &[u8]) -> Option<&'static Command> {
    let mut all = COMMANDS.iter();
    all.find(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
}

pub(crate) fn wrong_count(name: &str, out: &mut Vec<u8>) {
    let text = format!("ERR wrong number of arguments for '{name}' command");
    reply::error(out, text.as_bytes());
}

/// As C reads a text: to its first 0.
pub(crate) fn text(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max)];
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

fn unknown(args: Args<'_>, out: &mut Vec<u8>) {
    let name = text(args.get(0), 128);
    let mut told = Vec::new();
    for arg in args.after(1).iter() {
        if told.len() >= 128 {
            break;
        }
        let arg = text(arg, 128 - told.len());
        told.extend_from_slice(&[b"'", arg, b"' "].concat());
    }
    let parts: [&[u8]; 4] = [
        b"ERR unknown command '",
        name,
        b"', with args beginning with: ",
        &told,
    ];
    reply::error(out, &parts.concat());
}

/// What COMMAND tells of one: the form of redis before 7.0, which clients take from any.
pub(crate) fn describe(command: &Command, out: &mut Vec<u8>) {
    let (first, last, step) = match command.place {
        Place::Key(_) => (1, 1, 1),
        Place::Keys(step, ..) => (1, -1, step as i64),
        Place::Connection(_) | Place::Shards(..) => (0, 0, 0),
    };
    reply::array(out, 6);
    reply::bulk(out, command.name.as_bytes());
    reply::integer(out, command.arity);
    match command.place {
        Place::Connection(_) => reply::array(out, 0),
        _ => {
            reply::array(out, 1);
            reply::simple(out, if command.writes { "write" } else { "readonly" });
        }
    }
    for number in [first, last, step] {
        reply::integer(out, number);
    }
}

/// Makes one answer of those of `count` parts; `part` appends that of each.
pub(crate) fn merge(
    how: Merge,
    count: usize,
    out: &mut Vec<u8>,
    mut part: impl FnMut(usize, &mut Vec<u8>),
) {
    let start = out.len();
    let (mut sum, mut members, mut error) = (0, Vec::new(), None);
    if how == Merge::List {
        reply::array(out, count);
    }
    for index in 0..count {
        part(index, out);
        if matches!(how, Merge::One | Merge::List) {
            continue;
        }
        let answer = &out[start..];
        match (how, answer.first()) {
            (_, Some(b'-')) => error = Some(answer.to_vec()),
            (Merge::Sum | Merge::Lists, Some(_)) => {
                let line = answer.iter().position(|&byte| byte == b'\r').unwrap_or(1);
                sum += integer(&answer[1..line]).unwrap_or(0);
                if how == Merge::Lists {
                    members.extend_from_slice(&answer[line + 2..]);
                }
            }
            _ => {}
        }
        out.truncate(start);
    }
    match (how, error) {
        (_, Some(error)) => out.extend_from_slice(&error),
        (Merge::Sum, None) => reply::integer(out, sum),
        (Merge::Ok, None) => reply::ok(out),
        (Merge::Lists, None) => {
            reply::array(out, sum as usize);
            out.extend_from_slice(&members);
        }
        (Merge::One | Merge::List, None) => {}
    }
}

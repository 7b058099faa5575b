//! What the commands do that have keys, on the shard that holds them.

use crate::glob;
use crate::resp::{Args, integer, reply};
use crate::store::{Clock, NEVER, Store};

const SYNTAX: &[u8] = b"ERR syntax error";
const NO_INTEGER: &[u8] = b"ERR value is not an integer or out of range";

pub(crate) fn get(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    match store.get(args.get(0), clock) {
        Some(entry) => reply::bulk(out, entry.value()),
        None => reply::null(out),
    }
}

pub(crate) fn exists(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    reply::integer(out, store.get(args.get(0), clock).is_some().into());
}

pub(crate) fn strlen(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let entry = store.get(args.get(0), clock);
    reply::integer(out, entry.map_or(0, |entry| entry.value().len() as i64));
}

pub(crate) fn kind(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let entry = store.get(args.get(0), clock);
    reply::simple(out, entry.map_or("none", |_| "string"));
}

pub(crate) fn del(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    reply::integer(out, store.remove(args.get(0), clock).into());
}

pub(crate) fn mset(store: &mut Store, _: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    store.set(args.get(0), args.get(1), NEVER);
    reply::ok(out);
}

/// What SET is told beside key and value.
#[derive(Default)]
struct Options {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep_end: bool,
    end: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, clock: &Clock) -> Result<Self, &'static [u8]> {
        let (mut options, mut index) = (Options::default(), 0);
        let mut time = None;
        while index < args.len() {
            let name = args.get(index).to_ascii_uppercase();
            let at_end = options.keep_end || time.is_some();
            match &name[..] {
                b"NX" if !options.only_old => options.only_new = true,
                b"XX" if !options.only_new => options.only_old = true,
                b"GET" => options.get = true,
                b"KEEPTTL" if time.is_none() => options.keep_end = true,
                b"EX" | b"PX" | b"EXAT" | b"PXAT" if !at_end && index + 1 < args.len() => {
                    index += 1;
                    time = Some((name, args.get(index)));
                }
                _ => return Err(SYNTAX),
            }
            index += 1;
        }
        if let Some((unit, text)) = time {
            let number = integer(text).ok_or(NO_INTEGER)?;
            let (scale, from) = match &unit[..] {
                b"EX" => (1_000, clock.now()),
                b"PX" => (1, clock.now()),
                b"EXAT" => (1_000, 0),
                _ => (1, 0),
            };
            let end = after(number, scale, from).filter(|_| number > 0);
            options.end = Some(end.ok_or(&b"ERR invalid expire time in 'set' command"[..])?);
        }
        Ok(options)
    }
}

/// The time so many units after `from`, if there is such a time. One that has long been is 1.
fn after(number: i64, scale: i64, from: u64) -> Option<u64> {
    let time = number.checked_mul(scale)?.checked_add(from as i64)?;
    Some(time.max(1) as u64)
}

pub(crate) fn set(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let (key, value) = (args.get(0), args.get(1));
    if args.len() == 2 {
        store.set(key, value, NEVER);
        return reply::ok(out);
    }
    let options = match Options::parse(args.after(2), clock) {
        Ok(options) => options,
        Err(error) => return reply::error(out, error),
    };
    let old = store.get(key, clock);
    let is_there = old.is_some();
    let kept = old
        .filter(|_| options.keep_end)
        .map(|entry| entry.deadline());
    match old.filter(|_| options.get) {
        Some(entry) => reply::bulk(out, entry.value()),
        None if options.get => reply::null(out),
        None => {}
    }
    if is_there && options.only_new || !is_there && options.only_old {
        if !options.get {
            reply::null(out);
        }
        return;
    }
    let end = options.end.or(kept).unwrap_or(NEVER);
    if end <= clock.now() {
        store.remove(key, clock);
    } else {
        store.set(key, value, end);
    }
    if !options.get {
        reply::ok(out);
    }
}

fn add(store: &mut Store, clock: &Clock, key: &[u8], change: i64, out: &mut Vec<u8>) {
    let entry = store.get(key, clock);
    let deadline = entry.map_or(NEVER, |entry| entry.deadline());
    let Some(old) = entry.map_or(Some(0), |entry| integer(entry.value())) else {
        return reply::error(out, NO_INTEGER);
    };
    let Some(new) = old.checked_add(change) else {
        return reply::error(out, b"ERR increment or decrement would overflow");
    };
    let mut text = Vec::with_capacity(20);
    reply::digits(&mut text, new);
    store.set(key, &text, deadline);
    reply::integer(out, new);
}

pub(crate) fn incr(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    add(store, clock, args.get(0), 1, out);
}

pub(crate) fn decr(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    add(store, clock, args.get(0), -1, out);
}

pub(crate) fn incrby(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    match integer(args.get(1)) {
        Some(change) => add(store, clock, args.get(0), change, out),
        None => reply::error(out, NO_INTEGER),
    }
}

pub(crate) fn decrby(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    match integer(args.get(1)).map(i64::checked_neg) {
        Some(Some(change)) => add(store, clock, args.get(0), change, out),
        Some(None) => reply::error(out, b"ERR decrement would overflow"),
        None => reply::error(out, NO_INTEGER),
    }
}

pub(crate) fn expire(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    expire_in(store, clock, args, 1_000, "expire", out);
}

pub(crate) fn pexpire(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    expire_in(store, clock, args, 1, "pexpire", out);
}

fn expire_in(
    store: &mut Store,
    clock: &Clock,
    args: Args<'_>,
    scale: i64,
    name: &str,
    out: &mut Vec<u8>,
) {
    let [mut new, mut old, mut later, mut sooner] = [false; 4];
    for option in args.after(2).iter() {
        match &option.to_ascii_uppercase()[..] {
            b"NX" => new = true,
            b"XX" => old = true,
            b"GT" => later = true,
            b"LT" => sooner = true,
            _ => return reply::error(out, &[b"ERR Unsupported option ", option].concat()),
        }
    }
    if new && (old || later || sooner) {
        let text = b"ERR NX and XX, GT or LT options at the same time are not compatible";
        return reply::error(out, text);
    }
    if later && sooner {
        let text = b"ERR GT and LT options at the same time are not compatible";
        return reply::error(out, text);
    }
    let Some(number) = integer(args.get(1)) else {
        return reply::error(out, NO_INTEGER);
    };
    let Some(end) = after(number, scale, clock.now()) else {
        let text = format!("ERR invalid expire time in '{name}' command");
        return reply::error(out, text.as_bytes());
    };
    let key = args.get(0);
    let Some(current) = store.get(key, clock).map(|entry| entry.deadline()) else {
        return reply::integer(out, 0);
    };
    let is_kept = new && current != NEVER
        || old && current == NEVER
        || later && end <= current
        || sooner && end >= current;
    if is_kept {
        return reply::integer(out, 0);
    }
    let done = match end <= clock.now() {
        true => store.remove(key, clock),
        false => store.expire(key, end, clock),
    };
    reply::integer(out, done.into());
}

pub(crate) fn persist(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let key = args.get(0);
    let entry = store.get(key, clock);
    let ends = entry.is_some_and(|entry| entry.deadline() != NEVER);
    reply::integer(out, (ends && store.expire(key, NEVER, clock)).into());
}

pub(crate) fn ttl(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let left = time_left(store, clock, args.get(0));
    reply::integer(out, if left < 0 { left } else { (left + 500) / 1_000 });
}

pub(crate) fn pttl(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    reply::integer(out, time_left(store, clock, args.get(0)));
}

/// In milliseconds; -1 if it has no end, -2 if it is not there.
fn time_left(store: &mut Store, clock: &Clock, key: &[u8]) -> i64 {
    match store.get(key, clock).map(|entry| entry.deadline()) {
        None => -2,
        Some(NEVER) => -1,
        Some(end) => (end - clock.now()) as i64,
    }
}

pub(crate) fn keys(store: &mut Store, clock: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    let (mut count, mut found) = (0, Vec::new());
    for key in store.keys(clock.now()) {
        if glob::matches(args.get(0), key) {
            count += 1;
            reply::bulk(&mut found, key);
        }
    }
    reply::array(out, count);
    out.append(&mut found);
}

pub(crate) fn dbsize(store: &mut Store, _: &Clock, _: Args<'_>, out: &mut Vec<u8>) {
    reply::integer(out, store.len() as i64);
}

pub(crate) fn flush(store: &mut Store, _: &Clock, args: Args<'_>, out: &mut Vec<u8>) {
    // At once and later are the same here.
    let is_known = args.len() == 0
        || args.len() == 1 && {
            let how = args.get(0);
            how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async")
        };
    if !is_known {
        return reply::error(out, SYNTAX);
    }
    store.clear();
    reply::ok(out);
}

//! Files as streams of chunks, which share the few registered buffers of the runtime.

use std::rc::Rc;

use futures_util::StreamExt;
use saferring::fs::File;
use saferring::runtime::fixed_buffers;
use saferring_tests::adversary::{FIXED_COUNT, FIXED_SIZE, Held, Task};

use crate::files::file;
use crate::scene::{PATIENCE, Scene, Setup, Tools, task};

pub(crate) const STREAMS: &[Setup] = &[
    ("read_stream", |tools| streams(tools, 2, chunks)),
    ("read_stream_held", |tools| streams(tools, 3, held)),
];

type Read = fn(&Rc<Tools>, &Held<Rc<File>>, usize) -> Task;

/// The bytes of the file from here on.
fn expect(tools: &Tools, at: &mut u8, chunk: &[u8]) {
    let all = (*at..64).collect::<Vec<_>>();
    if chunk.is_empty() || chunk.len() > FIXED_SIZE || !all.starts_with(chunk) {
        tools.stage.fault(format!("at {at} came {chunk:?}"));
    }
    *at += chunk.len() as u8;
}

/// Gives each chunk back before it takes the next.
fn chunks(tools: &Rc<Tools>, file: &Held<Rc<File>>, depth: usize) -> Task {
    let stream = file.with(|file| file.read_stream(4.., depth));
    let tools = Rc::clone(tools);
    task(async move {
        let (Some(mut stream), mut at) = (stream, 4) else {
            return;
        };
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => expect(&tools, &mut at, &chunk),
                Err(error) => return tools.failed("a read", &error),
            }
        }
        if at != 64 {
            tools.stage.fault(format!("the stream ended at {at}"));
        }
    })
}

/// Holds all of them: there are more than the pool has.
fn held(tools: &Rc<Tools>, file: &Held<Rc<File>>, depth: usize) -> Task {
    let stream = file.with(|file| file.read_stream(..50, depth));
    let tools = Rc::clone(tools);
    task(async move {
        let (Some(mut stream), mut at, mut held) = (stream, 0, Vec::new()) else {
            return;
        };
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    expect(&tools, &mut at, &chunk);
                    held.push(chunk);
                }
                Err(error) => return tools.failed("a read", &error),
            }
        }
        let all: Vec<_> = held.iter().flat_map(|chunk| chunk.to_vec()).collect();
        if all != (0..50).collect::<Vec<u8>>() {
            tools.stage.fault(format!("held: {all:?}"));
        }
    })
}

fn streams(tools: &Rc<Tools>, depth: usize, subject: Read) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let pool = fixed_buffers().unwrap();
    let innocent = Rc::clone(tools);
    Scene {
        subjects: (0..3).map(|_| subject(tools, &file, depth)).collect(),
        innocents: vec![Box::new(move || chunks(&innocent, &file, depth))],
        cause: Box::new(|_| std::thread::yield_now()),
        check: Box::new(move |_| match pool.available() {
            all if all == FIXED_COUNT as usize => Ok(()),
            free => Err(format!("{free} buffers are free, of {FIXED_COUNT}")),
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

//! Timers.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use saferring::time::{interval, sleep, timeout};

use crate::scene::{PATIENCE, Scene, Setup, Tools, task};

pub(crate) const TIMERS: &[Setup] = &[("sleep", sleeps), ("interval", intervals)];

const SHORT: Duration = Duration::from_millis(1);

/// The first round takes as long as the timers, so that these are over when the loop looks at them.
fn waits(round: u32) {
    std::thread::sleep(if round == 0 { 2 * SHORT } else { SHORT / 2 });
}

fn sleeps(_: &Rc<Tools>) -> Scene {
    Scene {
        subjects: vec![
            task(sleep(SHORT)),
            task(sleep(Duration::ZERO)),
            task(async {
                let _ = timeout(SHORT, pending::<()>()).await;
            }),
            task(async {
                let _ = timeout(SHORT, sleep(SHORT)).await;
            }),
        ],
        innocents: vec![Box::new(|| task(sleep(SHORT)))],
        cause: Box::new(waits),
        moves: true,
        patience: PATIENCE,
        ..Scene::default()
    }
}

fn intervals(_: &Rc<Tools>) -> Scene {
    let ticks = || {
        task(async {
            let mut ticks = interval(SHORT);
            for _ in 0..3 {
                ticks.tick().await;
            }
        })
    };
    Scene {
        subjects: vec![ticks(), ticks()],
        innocents: vec![Box::new(ticks)],
        cause: Box::new(waits),
        moves: true,
        patience: PATIENCE,
        ..Scene::default()
    }
}

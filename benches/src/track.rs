//! The workloads of the ratios one by one, for a harness that asks for them itself.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::cells::{Cell, ratios, two_cores, web};
use crate::child;
use crate::contender::Contender;
use crate::data::Data;
use crate::measure;
use crate::options;
use crate::program::ratio_contenders;
use crate::runner::Runner;
use crate::runtimes::saferring::on_two_cores;
use crate::session::{prepare_round, prepare_slice};
use crate::web::wrk;

/// A contender at a workload.
pub struct Track {
    cell: Arc<Cell>,
    contender: Contender,
    runner: Option<Runner>,
    /// Removed with the last of them.
    _data: Arc<Data>,
}

/// All contenders at all workloads, those on two cores too, on a file of so many bytes, and at those of HTTP and frames if
/// `with_web`; `None` if this is the process of one of them, which has done its work. What a contender cannot do is among them, too.
///
/// # Errors
///
/// If there is no directory for the files.
pub fn tracks(file_len: u64, with_web: bool) -> io::Result<Option<Vec<Track>>> {
    let mut contenders = ratio_contenders();
    contenders.push(on_two_cores());
    if child::run_if_child(&contenders) {
        return Ok(None);
    }
    measure::learn_cores(None);
    measure::stay_on_core(1);
    let data = Arc::new(Data::create(&options::target_dir().join("tmp"))?);
    let cells = ratios(data.dir(), file_len).into_iter();
    let mut web = if with_web { web(true) } else { Vec::new() };
    web.retain(|cell| !cell.is_http() || wrk::missing().is_none());
    let cells = cells.chain(two_cores(true)).chain(web).map(Arc::new);
    let tracks = cells.flat_map(|cell| {
        contenders.iter().map({
            let data = Arc::clone(&data);
            move |&contender| Track {
                cell: Arc::clone(&cell),
                contender,
                runner: None,
                _data: Arc::clone(&data),
            }
        })
    });
    Ok(Some(tracks.collect()))
}

impl Track {
    /// The workload's name.
    pub fn workload(&self) -> &str {
        &self.cell.name
    }

    /// The contender's name.
    pub fn contender(&self) -> &str {
        self.contender.name
    }

    /// Starts it, unless it is running; false if this contender has no such thing.
    ///
    /// # Errors
    ///
    /// Whatever the kernel reports.
    pub fn start(&mut self) -> io::Result<bool> {
        if self.runner.is_none() {
            prepare_round(&self.cell)?;
            prepare_slice(&self.cell)?;
            self.runner = Runner::start(&self.contender, &self.cell, Duration::from_millis(1))?;
        }
        Ok(self.runner.is_some())
    }

    /// Ends its process.
    pub fn stop(&mut self) {
        self.runner = None;
    }

    /// The CPU time of so many operations, by what the cost of at least about as many is.
    ///
    /// # Errors
    ///
    /// Whatever the kernel reports.
    pub fn run(&mut self, ops: u64) -> io::Result<Duration> {
        prepare_slice(&self.cell)?;
        let runner = self.runner.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        let slice = runner.run(ops)?;
        Ok(slice.cpu.mul_f64(ops as f64 / slice.ops as f64))
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.workload(), self.contender())
    }
}

//! One contender and raw, in a sentence.

use super::{Column, Entry, RAW, Ratio, Workload, grouped, overhead, time};

/// As in "file copy, 1 GiB, 64 KiB buffers: saferring 1,247 ± 23 MB/s, raw 1,289 ± 19 MB/s, overhead 3.3 % ± 2.1 %
/// (p = 0.023, significant)". `None` if there is nothing to say: raw itself, or no figures.
pub(crate) fn sentence(workload: &Workload, entry: &Entry, raw: Option<&Entry>) -> Option<String> {
    let title = &workload.title;
    let name = &entry.contender;
    if let Some(bytes) = entry.memory {
        return Some(format!("{title}: {name} {} bytes", grouped(bytes, 0)));
    }
    if name == RAW {
        return None;
    }
    let figures = entry.figures.as_ref()?;
    let ours = throughput(&figures.throughput, workload);
    let Some(theirs) = raw.and_then(|raw| raw.figures.as_ref()) else {
        return Some(format!("{title}: {name} {ours}, nothing to compare with"));
    };
    let mut line = format!(
        "{title}: {name} {ours}, {RAW} {}",
        throughput(&theirs.throughput, workload)
    );
    if let Some(ratio) = figures.wall_to_raw {
        line += &format!(", overhead {}", judgement(&ratio));
    }
    if let Some(ratio) = figures.cpu_to_raw {
        line += &format!(
            "; CPU {} to {} a {}, overhead {}",
            time(figures.cpu.median),
            time(theirs.cpu.median),
            workload.operation,
            judgement(&ratio)
        );
    }
    Some(line)
}

/// As in `3.3 % ± 2.1 % (p = 0.023, significant)`.
pub(crate) fn judgement(ratio: &Ratio) -> String {
    let p = match ratio.p {
        p if p < 0.001 => "p < 0.001".into(),
        p => format!("p = {p:.3}"),
    };
    format!(
        "{:.1} % ± {:.1} % ({p}, {})",
        overhead(ratio.ratio),
        (ratio.high - ratio.low) * 50.0,
        if ratio.significant {
            "significant"
        } else {
            "not significant"
        }
    )
}

/// As in `1,247 ± 23 MB/s`.
fn throughput(column: &Column, workload: &Workload) -> String {
    let (scale, unit) = match workload.bytes {
        Some(bytes) => (bytes as f64 / 1e6, "MB/s"),
        None => (1.0, "/s"),
    };
    let (mean, margin) = (column.mean * scale, column.margin * scale);
    let (mean, margin, unit) = match (mean, workload.bytes) {
        (mean, None) if mean >= 1e6 => (mean / 1e6, margin / 1e6, "M/s"),
        (mean, None) if mean >= 1e4 => (mean / 1e3, margin / 1e3, "k/s"),
        (mean, _) => (mean, margin, unit),
    };
    let decimals = match mean {
        mean if mean < 10.0 => 3,
        mean if mean < 100.0 => 2,
        mean if mean < 1000.0 && unit != "/s" => 1,
        _ => 0,
    };
    format!(
        "{} ± {} {unit}",
        grouped(mean, decimals),
        grouped(margin, decimals)
    )
}
